#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "tls/psk_keys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct psk_keys keys;
    struct error err;

    if (psk_keys_parse("keys.psk", (const char *)data, len, &keys, &err) < 0) {
        PROMISE(!strchr(err.text, '\n'));
        return 0;
    }
    PROMISE(keys.n > 0 && keys.n <= len);
    for (size_t i = 0; i < keys.n; i++) {
        const struct psk_key *k = &keys.keys[i];

        PROMISE(k->user[0] && strlen(k->user) <= PSK_USER_MAX);
        PROMISE(k->key_len > 0 && k->key_len <= PSK_KEY_MAX);
        PROMISE(psk_keys_find(&keys, k->user));
    }
    psk_keys_done(&keys);
    return 0;
}
