/* notify.h - tells systemd how we are (sd_notify's protocol); silent when it does not ask. */
#ifndef GATEWAY_INGEST_NOTIFY_H
#define GATEWAY_INGEST_NOTIFY_H

/* state: "READY=1", "WATCHDOG=1", "STOPPING=1".  Failures are not ours to handle. */
void notify_supervisor(const char *state);

#endif
