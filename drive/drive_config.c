#include "drive/drive_config.h"

#define TIMEOUT_MS 30000

void drive_config_init(struct drive_config *ret)
{
    *ret = (struct drive_config){
        .connect_timeout_ms = TIMEOUT_MS,
        .stall_timeout_ms = TIMEOUT_MS,
    };
    settings_init(&ret->settings);
}
