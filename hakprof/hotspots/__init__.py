"""From samples and exact counts to functions, stages, lines and paths.

recording: what `hakprof record` left behind, or any file of one of the tools
callgrind_costs, step_trace (and hakprof.perfdata): a file to a profile
code: all profiles of a recording in one table of addresses, named, with stages (`stages`)
tables, annotate, paths, flame: what is shown of it
"""
