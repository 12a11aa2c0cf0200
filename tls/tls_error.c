#include "tls/tls_error.h"

#include <openssl/err.h>

const char *tls_library_reason(void)
{
    const char *text = ERR_reason_error_string(ERR_get_error());

    ERR_clear_error();
    return text ? text : "no reason given";
}

int tls_library_error(struct error *err, const char *what)
{
    return err_set(err, ERR_SYSTEM, "%s: %s", what, tls_library_reason());
}
