"""SM2, SM3 and the layouts of their data, written from GB/T 32918 and GB/T 32905: a second opinion for tests.

Slow (milliseconds a multiplication) and not in constant time: never for anything but tests.

  private, public = keypair("a seed")        an int; X[32] Y[32] as bytes
  r, s = sign(private, user, message)        32 bytes each; verify(public, user, message, r, s)
  encrypt(public, plain, layout)             layout: one of LAYOUTS; decrypt(private, cipher, layout)
  private_pem(private), public_der(public)   for OpenSSL and for keys.dir
"""
import base64
import hashlib
import struct

P = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF
N = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
A = P - 3
B = 0x28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93
G = (0x32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7,
     0xBC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0)
DEFAULT_USER = "1234567812345678"
LAYOUTS = ("der", "c1c3c2", "c1c2c3", "04c1c3c2", "04c1c2c3")


# ---- SM3, GB/T 32905 ----

def _rotate(x, n):
    n %= 32
    return (x << n | x >> (32 - n)) & 0xFFFFFFFF if n else x


def _compress(v, block):
    w = list(struct.unpack(">16I", block))
    for j in range(16, 68):
        x = w[j - 16] ^ w[j - 9] ^ _rotate(w[j - 3], 15)
        w.append(x ^ _rotate(x, 15) ^ _rotate(x, 23) ^ _rotate(w[j - 13], 7) ^ w[j - 6])
    a, b, c, d, e, f, g, h = v
    for j in range(64):
        constant = 0x79CC4519 if j < 16 else 0x7A879D8A
        ss1 = _rotate((_rotate(a, 12) + e + _rotate(constant, j)) & 0xFFFFFFFF, 7)
        ss2 = ss1 ^ _rotate(a, 12)
        ff = a ^ b ^ c if j < 16 else a & b | a & c | b & c
        gg = e ^ f ^ g if j < 16 else e & f | ~e & 0xFFFFFFFF & g
        tt1 = (ff + d + ss2 + (w[j] ^ w[j + 4])) & 0xFFFFFFFF
        tt2 = (gg + h + ss1 + w[j]) & 0xFFFFFFFF
        a, b, c, d = tt1, a, _rotate(b, 9), c
        e, f, g, h = tt2 ^ _rotate(tt2, 9) ^ _rotate(tt2, 17), e, _rotate(f, 19), g
    return [x ^ y for x, y in zip(v, (a, b, c, d, e, f, g, h))]


def sm3(data):
    v = [0x7380166F, 0x4914B2B9, 0x172442D7, 0xDA8A0600, 0xA96F30BC, 0x163138AA, 0xE38DEE4D, 0xB0FB0E4E]
    padded = data + b"\x80" + b"\0" * (-(len(data) + 9) % 64) + struct.pack(">Q", 8 * len(data))
    for i in range(0, len(padded), 64):
        v = _compress(v, padded[i:i + 64])
    return struct.pack(">8I", *v)


# ---- the curve, GB/T 32918.1; a point is (x, y), infinity is None ----

def on_curve(point):
    x, y = point
    return 0 <= x < P and 0 <= y < P and (y * y - x * x * x - A * x - B) % P == 0


def add(p, q):
    if p is None or q is None:
        return q if p is None else p
    if p[0] == q[0]:
        if (p[1] + q[1]) % P == 0:
            return None
        slope = (3 * p[0] * p[0] + A) * pow(2 * p[1], -1, P) % P
    else:
        slope = (q[1] - p[1]) * pow(q[0] - p[0], -1, P) % P
    x = (slope * slope - p[0] - q[0]) % P
    return x, (slope * (p[0] - x) - p[1]) % P


def multiply(k, point):
    total = None
    for bit in bin(k)[2:]:
        total = add(total, total)
        if bit == "1":
            total = add(total, point)
    return total


def _bytes(number):
    return number.to_bytes(32, "big")


def _point(public):
    assert len(public) == 64, len(public)
    point = int.from_bytes(public[:32], "big"), int.from_bytes(public[32:], "big")
    if not on_curve(point):
        raise ValueError("not a point of the curve")
    return point


def _scalar(*parts):
    """A number of 1 .. n - 2 from a seed: the same tests get the same numbers."""
    material = b"|".join(p if isinstance(p, bytes) else str(p).encode() for p in parts)
    return 1 + int.from_bytes(hashlib.sha512(material).digest(), "big") % (N - 2)


def public_of(private):
    return b"".join(_bytes(v) for v in multiply(private, G))


def keypair(seed):
    private = _scalar("key", seed)
    return private, public_of(private)


# ---- signatures, GB/T 32918.2 ----

def user_digest(public, user):
    user = user.encode() if isinstance(user, str) else user
    return sm3(struct.pack(">H", 8 * len(user)) + user + b"".join(map(_bytes, (A, B, *G))) + public)


def _digest(public, user, message):
    return int.from_bytes(sm3(user_digest(public, user) + message), "big")


def sign(private, user, message):
    e = _digest(public_of(private), user, message)
    for attempt in range(100):
        k = _scalar("sign", private, user, message, attempt)
        r = (e + multiply(k, G)[0]) % N
        s = pow(1 + private, -1, N) * (k - r * private) % N
        if r != 0 and r + k != N and s != 0:
            return _bytes(r), _bytes(s)
    raise AssertionError("no signature in 100 attempts")


def verify(public, user, message, r, s):
    r, s = int.from_bytes(r, "big"), int.from_bytes(s, "big")
    t = (r + s) % N
    if not (1 <= r < N and 1 <= s < N) or t == 0:
        return False
    point = add(multiply(s, G), multiply(t, _point(public)))
    return point is not None and (_digest(public, user, message) + point[0]) % N == r


# ---- encryption, GB/T 32918.4; the SEQUENCE of GM/T 0009 ----

def _key_stream(shared, size):
    counted = (sm3(shared + struct.pack(">I", i)) for i in range(1, size // 32 + 2))
    return b"".join(counted)[:size]


def _xor(a, b):
    return bytes(x ^ y for x, y in zip(a, b))


def encrypt(public, plain, layout="c1c3c2", k=None):
    assert layout in LAYOUTS and plain, layout
    k = k or _scalar("encrypt", public, plain)
    c1 = b"".join(map(_bytes, multiply(k, G)))
    x, y = map(_bytes, multiply(k, _point(public)))
    c2 = _xor(plain, _key_stream(x + y, len(plain)))
    c3 = sm3(x + plain + y)
    if layout == "der":
        return _der(0x30, _der_number(int.from_bytes(c1[:32], "big")) + _der_number(int.from_bytes(c1[32:], "big"))
                    + _der(0x04, c3) + _der(0x04, c2))
    mark = b"\x04" if layout.startswith("04") else b""
    return mark + c1 + (c3 + c2 if layout.endswith("c1c3c2") else c2 + c3)


def decrypt(private, cipher, layout="c1c3c2"):
    """The text; ValueError when it was not encrypted for this key, or is damaged."""
    assert layout in LAYOUTS, layout
    if layout == "der":
        cipher, layout = _bare(cipher), "c1c3c2"
    elif layout.startswith("04"):
        if cipher[:1] != b"\x04":
            raise ValueError("no 04 in front")
        cipher = cipher[1:]
    if len(cipher) <= 96:
        raise ValueError("too short")
    c1, rest = cipher[:64], cipher[64:]
    c3, c2 = (rest[:32], rest[32:]) if layout.endswith("c1c3c2") else (rest[-32:], rest[:-32])
    x, y = map(_bytes, multiply(private, _point(c1)))
    plain = _xor(c2, _key_stream(x + y, len(c2)))
    if sm3(x + plain + y) != c3:
        raise ValueError("the digest does not belong to the text")
    return plain


# ---- DER ----

def _der(tag, content):
    n = len(content)
    length = bytes([n]) if n < 128 else bytes([0x80 + (n.bit_length() + 7) // 8]) + n.to_bytes((n.bit_length() + 7) // 8, "big")
    return bytes([tag]) + length + content


def _der_number(number):
    return _der(0x02, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def _take(data, tag):
    """Content of the element at the front, and what follows it."""
    if len(data) < 2 or data[0] != tag:
        raise ValueError("another element was expected")
    n, at = data[1], 2
    if n & 0x80:
        at += n & 0x7F
        n = int.from_bytes(data[2:at], "big")
    if at + n > len(data):
        raise ValueError("cut short")
    return data[at:at + n], data[at + n:]


def _bare(cipher):
    content, behind = _take(cipher, 0x30)
    x, content = _take(content, 0x02)
    y, content = _take(content, 0x02)
    c3, content = _take(content, 0x04)
    c2, content = _take(content, 0x04)
    if behind or content:
        raise ValueError("something follows the end")
    return _bytes(int.from_bytes(x, "big")) + _bytes(int.from_bytes(y, "big")) + c3 + c2


def signature_der(r, s):
    return _der(0x30, _der_number(int.from_bytes(r, "big")) + _der_number(int.from_bytes(s, "big")))


# id-ecPublicKey (RFC 5480) on the curve 1.2.156.10197.1.301 (GM/T 0006)
_ALGORITHM = bytes.fromhex("301306072a8648ce3d020106082a811ccf5501822d")


def _pem(label, der):
    text = base64.encodebytes(der).decode()
    return f"-----BEGIN {label}-----\n{text}-----END {label}-----\n"


def private_der(private):
    point = _der(0xA1, _der(0x03, b"\0\x04" + public_of(private)))
    return _der(0x30, _der_number(0) + _ALGORITHM
                + _der(0x04, _der(0x30, _der_number(1) + _der(0x04, _bytes(private)) + point)))


def private_pem(private):
    """PKCS#8."""
    return _pem("PRIVATE KEY", private_der(private))


def public_der(public):
    return _der(0x30, _ALGORITHM + _der(0x03, b"\0\x04" + public))


def public_pem(public):
    return _pem("PUBLIC KEY", public_der(public))
