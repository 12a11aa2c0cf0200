/*
 * control/qmp_event.h: a VM's events in QMP's words.
 */
#pragma once

#include "control/qmp_server.h"
#include "control/vm_event.h"

/* Sends the event to all clients of the server. Fits vm_set_events(), with the server as `arg`. */
void qmp_event_send(void *server, const struct vm_event *event);
