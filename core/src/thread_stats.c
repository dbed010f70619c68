#include "thread_stats.h"

uint64_t hk_stats_totals[2];
