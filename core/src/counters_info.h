#ifndef HK_COUNTERS_INFO_H
#define HK_COUNTERS_INFO_H

#include <stddef.h>
#include <stdint.h>

/* Writes a JSON object that says what runs: program, command line, build ids, compiler, block size
 * of each class, configuration (`config`: lines of NAME=VALUE). Returns its length; what does not
 * fit is left out and the object says so. `memory[result]` is 0. */
size_t hk_info_write(char *memory, size_t bytes, const uint32_t *class_bytes, size_t classes,
                     const char *config);

#endif
