#include "base/words.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define SPACE " \t\n"

/* Whether a word needs no quotes. */
static bool is_plain(const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "_-./:,=+@%^";

    return word[0] && word[strspn(word, plain)] == 0;
}

static char *put_word(char *at, const char *word)
{
    bool plain = is_plain(word);

    if (!plain)
        *at++ = '\'';
    for (; *word; word++) {
        if (*word == '\'' && !plain)
            at = stpcpy(at, "'\\'");
        *at++ = *word;
    }
    if (!plain)
        *at++ = '\'';
    return at;
}

char *words_join(const char *const *words, size_t n)
{
    size_t room = 1;

    for (size_t i = 0; i < n; i++)
        room += 4 * strlen(words[i]) + 3; /* if each byte is a quote; the quotes around; a space */
    char *line = malloc(room), *at = line;
    if (!line)
        return NULL;
    for (size_t i = 0; i < n; i++) {
        if (i)
            *at++ = ' ';
        at = put_word(at, words[i]);
    }
    *at = 0;
    return line;
}

/* --- splitting ------------------------------------------------------------------------------- */

/* Copies one word, up to a space outside quotes. *ret_end points after the word. */
static int take_word(const char *at, char *to, const char **ret_end, struct error *err)
{
    char quote = 0;

    for (; *at && (quote || !strchr(SPACE, *at)); at++) {
        if (quote && *at == quote)
            quote = 0;
        else if (!quote && (*at == '\'' || *at == '"'))
            quote = *at;
        else if (*at == '\\' && quote != '\'' && at[1])
            *to++ = *++at;
        else
            *to++ = *at;
    }
    if (quote)
        return err_set(err, ERR_USAGE, "a %c that is not closed", quote);
    *to = 0;
    *ret_end = at;
    return 0;
}

static int split(const char *line, char **words, char *word, struct error *err)
{
    size_t n = 0;

    for (line += strspn(line, SPACE); *line; line += strspn(line, SPACE)) {
        if (n == WORDS_MAX)
            return err_set(err, ERR_USAGE, "more than %d words", WORDS_MAX);
        if (take_word(line, word, &line, err) < 0)
            return -1;
        words[n] = strdup(word);
        if (!words[n++])
            return err_sys(err, "memory for a word");
    }
    return 0;
}

int words_split(const char *line, char ***ret, struct error *err)
{
    if (strlen(line) > WORDS_LEN_MAX)
        return err_set(err, ERR_USAGE, "%zu bytes, expected at most %d", strlen(line),
                       WORDS_LEN_MAX);
    char **words = calloc(WORDS_MAX + 1, sizeof(*words));
    char *word = malloc(strlen(line) + 1);
    int rc = words && word ? split(line, words, word, err) : err_sys(err, "memory for words");
    free(word);
    if (rc < 0) {
        words_free(words);
        return -1;
    }
    *ret = words;
    return 0;
}

void words_free(char **words)
{
    for (size_t i = 0; words && words[i]; i++)
        free(words[i]);
    free(words);
}
