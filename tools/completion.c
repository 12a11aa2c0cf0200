#include <stdio.h>
#include <string.h>

#include "settings/settings.h"
#include "tools/option_kind.h"
#include "tools/options.h"
#include "tools/output.h"
#include "tools/verbs.h"

/* What is under way: the verb whose options come. */
struct verb_now {
    const char *name;
};

static void put_setting_names(const char *end)
{
    for (size_t i = 0; i < CAP_N; i++)
        printf("%s%s ", capabilities[i].name, end);
    for (size_t i = 0; i < PARAM_N; i++)
        printf("%s%s ", parameters[i].name, end);
}

static void put_names(const char *const *names)
{
    for (; *names != option_names_end; names++) {
        if (*names)
            printf("%s ", *names);
    }
}

/* Inside single quotes; characters of `special` get a backslash. */
static void put_quoted(const char *text, const char *special, const char *quote)
{
    for (; *text; text++) {
        if (*text == '\'')
            fputs(quote, stdout);
        else if (strchr(special, *text))
            printf("\\%c", *text);
        else
            putchar(*text);
    }
}

/* --- bash ------------------------------------------------------------------------------------ */

static void bash_verb_name(void *arg, const char *name, const char *summary, enum verb_bit bit)
{
    (void)arg;
    (void)summary;
    (void)bit;
    printf("%s ", name);
}

static void bash_values(void *arg, const struct option_shape *o)
{
    const struct verb_now *verb = arg;

    if (!o->names && !o->sets)
        return;
    printf("    %s,%s) words='", verb->name, o->name);
    if (o->sets)
        put_setting_names("=");
    else
        put_names(o->names);
    printf("' ;;\n");
}

static void bash_option(void *arg, const struct option_shape *o)
{
    (void)arg;
    printf("%s ", o->name);
}

static void bash_values_of(void *arg, const char *name, const char *summary, enum verb_bit bit)
{
    struct verb_now verb = {name};

    (void)arg;
    (void)summary;
    options_each(bit, bash_values, &verb);
}

static void bash_options_of(void *arg, const char *name, const char *summary, enum verb_bit bit)
{
    (void)arg;
    (void)summary;
    printf("    %s,-*) words='--help ", name);
    options_each(bit, bash_option, NULL);
    printf("' ;;\n");
}

/* Bash breaks words at ':' and '=': so a path after file: is completed as any path is. */
static void print_bash(void)
{
    printf("# bash completion of ramjet " RAMJET_VERSION "\n"
           "_ramjet()\n{\n"
           "    local cur=${COMP_WORDS[COMP_CWORD]} at=$((COMP_CWORD - 1)) verb=${COMP_WORDS[1]}\n"
           "    local words=\n"
           "    COMPREPLY=()\n"
           "    if ((COMP_CWORD == 1)); then\n        words='help ");
    verbs_each(bash_verb_name, NULL);
    printf("'\n        mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
           "        return\n    fi\n"
           "    if [[ $cur == = ]]; then cur=; at=$COMP_CWORD; fi\n"
           "    if [[ ${COMP_WORDS[at]} == = ]]; then at=$((at - 1)); fi\n"
           "    case $verb,${COMP_WORDS[at]} in\n"
           "    help,* ) words='settings ");
    verbs_each(bash_verb_name, NULL);
    printf("' ;;\n    completion,* ) words='bash zsh fish' ;;\n");
    verbs_each(bash_values_of, NULL);
    printf("    esac\n"
           "    if [[ ! $words && ${COMP_WORDS[at - 1]} == --set ]]; then words='on off'; fi\n"
           "    if [[ ! $words ]]; then\n    case $verb,$cur in\n");
    verbs_each(bash_options_of, NULL);
    printf("    esac\n    fi\n"
           "    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
           "    if [[ ${COMPREPLY[0]-} == *= ]]; then compopt -o nospace 2>/dev/null; fi\n"
           "}\n"
           "complete -o default -F _ramjet ramjet\n");
}

/* --- zsh ------------------------------------------------------------------------------------- */

static void zsh_verb_name(void *arg, const char *name, const char *summary, enum verb_bit bit)
{
    (void)arg;
    (void)bit;
    printf("        '%s:", name);
    put_quoted(summary, ":\\", "'\\''");
    printf("'\n");
}

static void zsh_option(void *arg, const struct option_shape *o)
{
    (void)arg;
    printf(" \\\n            '*%s%s[", o->name, o->value ? "=" : "");
    put_quoted(o->help, "[]:\\", "'\\''");
    putchar(']');
    if (o->value)
        printf(":%s:", o->sets ? "setting" : "value");
    if (o->sets || o->names) {
        putchar('(');
        if (o->sets)
            put_setting_names("=");
        else
            put_names(o->names);
        putchar(')');
    } else if (o->value) {
        printf("_files");
    }
    putchar('\'');
}

static void zsh_options_of(void *arg, const char *name, const char *summary, enum verb_bit bit)
{
    (void)arg;
    (void)summary;
    printf("    %s)\n        _arguments", name);
    options_each(bit, zsh_option, NULL);
    printf(" \\\n            '*:file:_files' ;;\n");
}

/* The prefix of file:PATH is left alone, so that the path behind it is completed. */
static void print_zsh(void)
{
    printf("#compdef ramjet\n# zsh completion of ramjet " RAMJET_VERSION "\n"
           "_ramjet() {\n    local -a verbs\n    verbs=(\n");
    verbs_each(zsh_verb_name, NULL);
    printf("    )\n"
           "    if (( CURRENT == 2 )); then _describe verb verbs; return; fi\n"
           "    shift words; (( CURRENT-- ))\n"
           "    if compset -P '(file|raw|image|memory|unix):'; then _files; return; fi\n"
           "    case $words[1] in\n"
           "    completion) _values shell bash zsh fish ;;\n"
           "    help) _describe verb verbs ;;\n");
    verbs_each(zsh_options_of, NULL);
    printf("    esac\n}\n"
           "if [[ $funcstack[1] == _ramjet ]]; then _ramjet \"$@\"; else compdef _ramjet ramjet; "
           "fi\n");
}

/* --- fish ------------------------------------------------------------------------------------ */

static void fish_option(void *arg, const struct option_shape *o)
{
    const struct verb_now *verb = arg;

    printf("complete -c ramjet -n '__fish_seen_subcommand_from %s' -l %s", verb->name,
           o->name + strlen("--"));
    if (o->sets || o->names) {
        printf(" -x -a '");
        if (o->sets)
            put_setting_names("=");
        else
            put_names(o->names);
        putchar('\'');
    } else if (o->value) {
        printf(" -r");
    }
    printf(" -d '");
    put_quoted(o->help, "\\", "\\'");
    printf("'\n");
}

static void fish_verb(void *arg, const char *name, const char *summary, enum verb_bit bit)
{
    struct verb_now verb = {name};

    (void)arg;
    printf("complete -c ramjet -n __fish_use_subcommand -f -a %s -d '", name);
    put_quoted(summary, "\\", "\\'");
    printf("'\n");
    options_each(bit, fish_option, &verb);
}

static void print_fish(void)
{
    printf("# fish completion of ramjet " RAMJET_VERSION "\n");
    verbs_each(fish_verb, NULL);
    printf(
        "complete -c ramjet -n '__fish_seen_subcommand_from completion' -f -a 'bash zsh fish'\n");
}

/* --------------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    void (*print)(void);
} shells[] = {{"bash", print_bash}, {"zsh", print_zsh}, {"fish", print_fish}};

int verb_completion(int argc, char **argv, struct error *err)
{
    struct options options;
    const char *words[1];
    size_t n;

    if (options_parse(VERB_COMPLETION, argc, argv, &options, words, 1, &n, err) < 0)
        return -1;
    for (size_t i = 0; n == 1 && i < ARRAY_LEN(shells); i++) {
        if (strcmp(words[0], shells[i].name) == 0) {
            shells[i].print();
            return output_flush(err);
        }
    }
    return err_set(err, ERR_USAGE, "%s%.40s: expected bash, zsh or fish", n ? "shell " : "no shell",
                   n ? words[0] : "");
}
