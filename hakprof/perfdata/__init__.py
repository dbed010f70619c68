"""perf.data read directly: no `perf script`, no text, a million samples in a tenth of a second.

    header -> stream (blocks of whole records) -> records -> reader: a Recording
    spaces (who had what mapped when) -> resolve: a Profile, every address in its file

A file is untrusted input: each size is checked against what is there, memory is bounded by the
number of samples, and whatever is wrong ends in one `InputError`.
"""
