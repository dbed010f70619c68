"""Names for addresses: who is at this place of this file, inlined from where, in which line.

find: the file with that build id, and its debug information
elf_image -> table: functions of a file; special: kernel, vDSO, JIT code
naming: a function for every row of a profile
lines: inlined calls and source lines, remembered by build id, by llvm-symbolizer, addr2line or
    `dwarf`
"""
