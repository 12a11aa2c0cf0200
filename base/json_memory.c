#include "base/json_memory.h"

#include <errno.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

static _Thread_local bool ran_out;

/* The text that is being read, and what was allocated for it. */
static _Thread_local struct {
    bool active;
    jmp_buf out_of_memory;
    void **taken;
    size_t n, room;
} loading;

static bool remember(void *p)
{
    if (loading.n == loading.room) {
        size_t room = loading.room ? 2 * loading.room : 64;
        void **more = realloc(loading.taken, room * sizeof(*more));

        if (!more)
            return false;
        loading.taken = more;
        loading.room = room;
    }
    loading.taken[loading.n++] = p;
    return true;
}

/* It is mostly one of the last. */
static void forget(const void *p)
{
    for (size_t i = loading.n; i-- > 0;) {
        if (loading.taken[i] == p) {
            loading.taken[i] = loading.taken[--loading.n];
            return;
        }
    }
}

/*
 * jansson's lexer (2.14) ignores that the room for a string could not be made longer, looks for its
 * closing quote beyond it, and copies all of that. So a failure must not return to it.
 */
static void *allocate(size_t size)
{
    void *p = malloc(size);

    if (p && (!loading.active || remember(p)))
        return p;
    free(p);
    ran_out = true;
    if (loading.active)
        longjmp(loading.out_of_memory, 1);
    return NULL;
}

static void release(void *p)
{
    if (loading.active)
        forget(p);
    free(p);
}

void json_memory_watch(void)
{
    json_set_alloc_funcs(allocate, release);
}

bool json_memory_ran_out(void)
{
    bool found = ran_out;

    ran_out = false;
    return found;
}

int json_memory_error(struct error *err)
{
    errno = ENOMEM;
    return err_sys(err, "memory for JSON");
}

int json_memory_check(struct error *err)
{
    return json_memory_ran_out() ? json_memory_error(err) : 0;
}

/* A text in memory, or what `feed` brings. */
struct input {
    const char *text;
    size_t len;
    json_load_callback_t feed;
    void *arg;
};

static json_t *load(const struct input *in, size_t flags, json_error_t *why)
{
    if (in->feed)
        return json_load_callback(in->feed, in->arg, flags, why);
    return json_loadb(in->text, in->len, flags, why);
}

static void end_loading(void)
{
    free(loading.taken);
    loading.active = false;
    loading.taken = NULL;
    loading.n = loading.room = 0;
}

static json_t *load_or_none(const struct input *in, size_t flags, json_error_t *why)
{
    loading.active = true;
    if (setjmp(loading.out_of_memory) == 0) {
        json_t *root = load(in, flags, why);

        end_loading();
        return root;
    }
    while (loading.n > 0)
        free(loading.taken[--loading.n]);
    end_loading();
    if (why)
        snprintf(why->text, sizeof(why->text), "out of memory");
    return NULL;
}

json_t *json_memory_load(const char *text, size_t len, size_t flags, json_error_t *why)
{
    return load_or_none(&(struct input){.text = text, .len = len}, flags, why);
}

json_t *json_memory_load_from(json_load_callback_t feed, void *arg, size_t flags, json_error_t *why)
{
    return load_or_none(&(struct input){.feed = feed, .arg = arg}, flags, why);
}
