#include "base/printable.h"

#include "tests/support/test.h"

static const struct printable_case {
    const char *label, *text, *want;
} printable_cases[] = {
    {"plain", "pc.ram", "pc.ram"},
    {"empty", "", ""},
    {"space and tilde", " ~", " ~"},
    {"two, three and four bytes", "\u00e4\u2026\U0001f40e", "\u00e4\u2026\U0001f40e"},
    {"the ends of what UTF-8 has", "\u00a0\u07ff\u0800\ud7ff\ue000\U000dffff",
     "\u00a0\u07ff\u0800\ud7ff\ue000\U000dffff"},
    {"line feed and carriage return", "a\nb\rc", "a?b?c"},
    {"tab, backspace, bell", "\t\b\a", "???"},
    {"escape", "\x1b[2J", "?[2J"},
    {"delete", "\x7f", "?"},
    {"C1: CSI and NEL", "\xc2\x9b[2J\xc2\x85", "??[2J??"},
    {"C1 as a byte", "\x9b[2J", "?[2J"},
    {"above ASCII", "\xff\x80", "??"},
    {"line and paragraph separator", "\u2028\u2029", "??????"},
    {"writing direction", "\u202ecod.exe\u202c\u2066\u2069\u200f\u061c",
     "???cod.exe????????????"
     "??"},
    {"invisible", "\u200b\u2060\ufeff\u00ad\U000e0041",
     "??????????????"
     "?"},
    {"cut in a character", "\xe2\x80", "??"},
    {"cut by another", "\xe2\x80z", "??z"},
    {"longer than needed", "\xc0\x8a\xe0\x80\x8a\xf0\x80\x80\x8a", "?????????"},
    {"a surrogate", "\xed\xa0\x80", "???"},
    {"past the last", "\xf4\x90\x80\x80\xf8\x88\x80\x80\x80", "?????????"},
};

static void hides_what_is_not_printable(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(printable_cases); i++) {
        const struct printable_case *c = &printable_cases[i];
        char text[64];

        strcpy(text, c->text);
        printable(text);
        CHECK(strcmp(text, c->want) == 0, "%s: '%s'", c->label, text);
        printable(text);
        CHECK(strcmp(text, c->want) == 0, "%s, again: '%s'", c->label, text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hides_what_is_not_printable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
