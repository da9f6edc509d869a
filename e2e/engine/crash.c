/* crash.c: an engine that fails at start; for the tests that watch how a failing start is reported. */
#include <stdio.h>

int main(void)
{
    fputs("fatal: cannot load model\n", stderr);
    return 1;
}
