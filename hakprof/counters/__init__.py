"""What hakmem counts: reading its counter files, and the laws that the counts obey.

    live file or document -> layout -> dump -> identities, tables

The format is described in docs/counters.md. Everything here treats its input as hostile.
"""
