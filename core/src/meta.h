/* Memory for hakmem's own records: zeroed, never given back, recycled by whoever asked for it. */
#ifndef HK_META_H
#define HK_META_H

#include "base.h"
#include "lock.h"

/* NULL if the system refuses memory. */
void *hk_meta_alloc(size_t size);

/* For whoever must stop the layer as a whole. */
void hk_meta_locks(hk_lock_visitor *visit);

#endif
