# SPDX-License-Identifier: Apache-2.0
# Says where each CPU of a crashed kernel was: registers.py DUMP VMLINUX, by drgn.
import sys

import drgn
from drgn.helpers.linux.cpumask import for_each_online_cpu
from drgn.helpers.linux.percpu import per_cpu

dump, vmlinux = sys.argv[1:]
program = drgn.Program()
program.set_core_dump(dump)
program.load_debug_info([vmlinux])
for cpu in for_each_online_cpu(program):
    task = per_cpu(program["runqueues"], cpu).curr
    frame = program.stack_trace(task)[0]
    print(f"cpu {cpu}: pc {frame.pc:016x}, x19 {frame.register('x19'):016x}")
