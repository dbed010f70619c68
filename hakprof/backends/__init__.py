"""One file a measuring backend; `model.CountingBackend` is what each provides."""
