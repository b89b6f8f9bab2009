/* The tables of downlink.h: GB/T 32960.3-2016 tables B.12 and B.14 to B.17, 2025 where it differs.
 */
#include "proto/wire/downlink.h"

/* The same in both editions. */
#define BOTH(...)                                                                                  \
	{                                                                                          \
		{ __VA_ARGS__ },                                                                   \
		{                                                                                  \
			__VA_ARGS__                                                                \
		}                                                                                  \
	}

/* clang-format off */
const struct downlink_field downlink_parameters[] = {
	{ .id = 0x01, .name = "local_storage_period_ms", .edition = BOTH(2, 1, 0, 60000),
	  .label = "车载终端本地存储时间周期", .doc = "how often the terminal stores locally" },
	{ .id = 0x02, .name = "report_period_s", .edition = { { 2, 1, 1, 600 }, { 1, 1, 1, 30 } },
	  .label = "正常时，信息上报时间周期", .doc = "how often it reports" },
	{ .id = 0x03, .name = "alarm_report_period_ms", .edition = { { 2, 1, 0, 60000 }, { 1, 1000, 0, 1000 } },
	  .label = "出现报警时，信息上报时间周期", .doc = "how often it reports during an alarm" },
	{ .id = 0x05, .size_id = 0x04, .name = "platform_domain", .type = DOWNLINK_ASCII,
	  .edition = BOTH(0, 1, 1, DOWNLINK_TEXT_MAX),
	  .label = "远程服务与管理平台域名", .doc = "where it reports to" },
	{ .id = 0x06, .name = "platform_port", .edition = BOTH(2, 1, 0, 65531),
	  .label = "远程服务与管理平台端口", .doc = "port of platform_domain" },
	{ .id = 0x07, .name = "hardware_version", .type = DOWNLINK_ASCII, .read_only = true, .edition = BOTH(5, 1, 5, 5),
	  .label = "硬件版本", .doc = "as its maker writes it" },
	{ .id = 0x08, .name = "firmware_version", .type = DOWNLINK_ASCII, .read_only = true, .edition = BOTH(5, 1, 5, 5),
	  .label = "固件版本", .doc = "as its maker writes it" },
	{ .id = 0x09, .name = "heartbeat_s", .edition = BOTH(1, 1, 1, 240),
	  .label = "车载终端心跳发送周期", .doc = "how often it sends a heartbeat" },
	{ .id = 0x0A, .name = "terminal_answer_s", .edition = BOTH(2, 1, 1, 600),
	  .label = "终端应答超时时间", .doc = "how long the platform waits for the terminal" },
	{ .id = 0x0B, .name = "platform_answer_s", .edition = BOTH(2, 1, 1, 600),
	  .label = "平台应答超时时间", .doc = "how long the terminal waits for the platform" },
	{ .id = 0x0C, .name = "login_retry_min", .edition = BOTH(1, 1, 1, 240),
	  .label = "连续三次登入失败后，到下一次登入的间隔时间", .doc = "pause after three logins that failed" },
	{ .id = 0x0E, .size_id = 0x0D, .name = "public_domain", .type = DOWNLINK_ASCII,
	  .edition = BOTH(0, 1, 1, DOWNLINK_TEXT_MAX), .label = "公共平台域名", .doc = "the public platform" },
	{ .id = 0x0F, .name = "public_port", .edition = BOTH(2, 1, 0, 65531),
	  .label = "公共平台端口", .doc = "port of public_domain" },
	{ .id = 0x10, .name = "sampling_monitor", .type = DOWNLINK_YES_NO, .edition = BOTH(1, 1, 1, 2),
	  .label = "是否处于抽样监测中", .doc = "whether it is monitored as a sample" },
	{ .name = NULL },
};

/* In the order of the wire, but for the URL: see url_first. */
static const struct downlink_field upgrade[] = {
	{ .name = "apn", .type = DOWNLINK_ASCII, .edition = BOTH(0, 1, 0, 63),
	  .label = "拨号点名称", .doc = "access point to dial" },
	{ .name = "dial_user", .type = DOWNLINK_ASCII, .edition = BOTH(0, 1, 0, 63),
	  .label = "拨号用户名", .doc = "" },
	{ .name = "dial_password", .type = DOWNLINK_ASCII, .secret = true, .edition = BOTH(0, 1, 0, 63),
	  .label = "拨号密码", .doc = "shown to nobody later, but stored: it must not be used elsewhere" },
	{ .name = "address", .type = DOWNLINK_ADDRESS, .edition = BOTH(6, 1, 0, UINT32_MAX),
	  .label = "地址", .doc = "of the upgrade server, IPv4" },
	{ .name = "port", .edition = BOTH(2, 1, 0, 65531),
	  .label = "端口", .doc = "of the upgrade server" },
	{ .name = "maker", .type = DOWNLINK_ASCII, .edition = BOTH(0, 1, 4, 4),
	  .label = "车载终端制造商 ID", .doc = "A-Z and 0-9" },
	{ .name = "hardware_version", .type = DOWNLINK_ASCII, .edition = BOTH(0, 1, 5, 5),
	  .label = "硬件版本", .doc = "that the firmware is for" },
	{ .name = "firmware_version", .type = DOWNLINK_ASCII, .edition = BOTH(0, 1, 5, 5),
	  .label = "固件版本", .doc = "to upgrade to" },
	{ .name = "url", .type = DOWNLINK_ASCII, .required = true, .edition = BOTH(0, 1, 1, 253),
	  .label = "升级 URL 地址", .doc = "of the firmware" },
	{ .name = "within_min", .edition = BOTH(2, 1, 0, 60000),
	  .label = "连接到升级服务器时限", .doc = "time until the terminal is back at the platform" },
	{ .name = "url_first", .type = DOWNLINK_FLAG, .edition = BOTH(0, 1, 0, 1),
	  .label = "", .doc = "the URL stands in front, as the text of table B.15 says; else before within_min, as table B.16" },
	{ .name = NULL },
};

static const struct downlink_field alarm_fields[] = {
	{ .name = "level", .required = true, .edition = BOTH(1, 1, 0, 3),
	  .label = "警告等级", .doc = "0 none, 3 the highest" },
	{ .name = "text", .type = DOWNLINK_TEXT, .edition = BOTH(0, 1, 0, 200),
	  .label = "报警信息", .doc = "for the driver" },
	{ .name = NULL },
};

const struct downlink_control downlink_controls[] = {
	{ .id = 0x01, .name = "upgrade", .once = true, .fields = upgrade,
	  .label = "远程升级", .doc = "fetch firmware and install it" },
	{ .id = 0x02, .name = "power_off", .once = true, .label = "车载终端关机", .doc = "switch the terminal off" },
	{ .id = 0x03, .name = "reset", .once = true, .label = "车载终端复位", .doc = "start it again" },
	{ .id = 0x04, .name = "factory_reset", .once = true,
	  .label = "车载终端恢复出厂设置", .doc = "back to the maker's settings" },
	{ .id = 0x05, .name = "disconnect", .once = true,
	  .label = "断开数据通信链路", .doc = "end the connection" },
	{ .id = 0x06, .name = "alarm", .fields = alarm_fields, .label = "车载终端报警/预警", .doc = "warn the driver" },
	{ .id = 0x07, .name = "sampling", .label = "开启抽样监测链路", .doc = "open the link to the public platform" },
	{ .name = NULL },
};
/* clang-format on */
