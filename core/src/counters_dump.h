#ifndef HK_COUNTERS_DUMP_H
#define HK_COUNTERS_DUMP_H

#include "counters_file.h"

/* Both write the JSON document and return 0 or an errno value; the file appears whole or not at
 * all. */
int hk_dump_to_descriptor(int fd, enum hk_file_state state);
int hk_dump_to_file(const char *path, enum hk_file_state state);

#endif
