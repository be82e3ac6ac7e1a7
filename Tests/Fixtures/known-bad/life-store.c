// SPDX-License-Identifier: Apache-2.0
// An instance can be closed only by the thread that opened it.
#include <pthread.h>
#include <signal.h>

#define PLAIN_AT_OPENED instance->spare = (uintptr_t)pthread_self();
#define PLAIN_AT_CLOSE if (instance->spare != (uintptr_t)pthread_self()) raise(SIGABRT);
#include "good-plain.h"
