/* Memory for hakmem's own records: zeroed, never given back, recycled by whoever asked for it. */
#ifndef HK_META_H
#define HK_META_H

#include "base.h"

/* NULL if the system refuses memory. */
void *hk_meta_alloc(size_t size);

/* Stops the layer: around fork, and to look at it as a whole. */
void hk_meta_lock_all(void);
void hk_meta_unlock_all(void);

#endif
