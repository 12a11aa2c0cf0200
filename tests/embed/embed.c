/*
 * A program that has ramjet's libraries in it: it asks one of them a question.
 */
#include <stdio.h>

#include "migration/dialect.h"

int main(void)
{
    const struct dialect *dialect = dialect_of("pc-q35-10.0");

    printf("%s\n", dialect->flush_word ? "yes" : "no");
    return dialect->flush_word ? 0 : 1;
}
