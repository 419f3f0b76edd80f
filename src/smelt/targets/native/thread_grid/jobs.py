# SPDX-License-Identifier: Apache-2.0
"""Jobs of the thread grid as LLVM IR: what a job is, filling one in, and running chunks of it.

See `thread_grid.code` for how a launch becomes a job, which also fills in the names in braces, and `thread_grid.pool` for who runs it.
"""

# A job: kernel, launch, arguments, units on each axis, threads of a unit on each axis, units in all, units of a chunk, the unit from which on
# nothing is begun; and, on a line of the cache for itself, the next unit.
JOB_TEXT = """
%job = type {{ ptr, ptr, ptr, [3 x i64], [3 x i64], i64, i64, i64, [128 x i8], i64, [64 x i8] }}
declare i64 @llvm.smin.i64(i64, i64)
declare i64 @llvm.smax.i64(i64, i64)
declare void @llvm.memcpy.inline.p0.p0.i64(ptr, ptr, i64, i1 immarg)

; Runs the units from one to another, in boxes: parts of rows, or whole rows of a plane. 1 if a thread failed.
define internal i64 @run_units(ptr %job, ptr %launch, i64 %from, i64 %to) noinline {{
entry:
  %kernel = load ptr, ptr %job
  %arguments_at = getelementptr %job, ptr %job, i64 0, i32 2
  %arguments = load ptr, ptr %arguments_at
  %units_at = getelementptr %job, ptr %job, i64 0, i32 3
  %units_y_at = getelementptr i64, ptr %units_at, i64 1
  %units_z_at = getelementptr i64, ptr %units_at, i64 2
  %units_x = load i64, ptr %units_at
  %units_y = load i64, ptr %units_y_at
  %units_z = load i64, ptr %units_z_at
  %size_at = getelementptr %job, ptr %job, i64 0, i32 4
  %size_y_at = getelementptr i64, ptr %size_at, i64 1
  %size_z_at = getelementptr i64, ptr %size_at, i64 2
  %size_x = load i64, ptr %size_at
  %size_y = load i64, ptr %size_y_at
  %size_z = load i64, ptr %size_z_at
{grid_sizes}
{bounds}
  %status_at = getelementptr i64, ptr %launch, i64 {status_word}
  br label %boxes
boxes:
  %unit = phi i64 [ %from, %entry ], [ %unit_next, %ran ]
  %is_more = icmp slt i64 %unit, %to
  br i1 %is_more, label %box, label %done
box:
  %x = urem i64 %unit, %units_x
  %row = udiv i64 %unit, %units_x
  %y = urem i64 %row, %units_y
  %z = udiv i64 %row, %units_y
  %left = sub i64 %to, %unit
  %begins_row = icmp eq i64 %x, 0
  %has_row = icmp sge i64 %left, %units_x
  %is_rows = and i1 %begins_row, %has_row
  %rows_left = udiv i64 %left, %units_x
  %rows_of_plane = sub i64 %units_y, %y
  %rows = call i64 @llvm.smin.i64(i64 %rows_left, i64 %rows_of_plane)
  %count_y = select i1 %is_rows, i64 %rows, i64 1
  %left_of_row = sub i64 %units_x, %x
  %part = call i64 @llvm.smin.i64(i64 %left_of_row, i64 %left)
  %count_x = select i1 %is_rows, i64 %units_x, i64 %part
  call void @set_bounds(ptr %begin_x_place, ptr %end_x_place, i64 %x, i64 %count_x, i64 %size_x, i64 %units_x, i64 %grid_x)
  call void @set_bounds(ptr %begin_y_place, ptr %end_y_place, i64 %y, i64 %count_y, i64 %size_y, i64 %units_y, i64 %grid_y)
  call void @set_bounds(ptr %begin_z_place, ptr %end_z_place, i64 %z, i64 1, i64 %size_z, i64 %units_z, i64 %grid_z)
  call void %kernel(ptr %launch, ptr %arguments)
  %status = load i64, ptr %status_at
  %succeeded = icmp eq i64 %status, 0
  br i1 %succeeded, label %ran, label %failed
ran:
  %count = mul i64 %count_x, %count_y
  %unit_next = add i64 %unit, %count
  br label %boxes
done:
  ret i64 0
failed:
  ret i64 1
}}

; The last unit of an axis may be cut off by the end of the grid.
define internal void @set_bounds(ptr %begin_at, ptr %end_at, i64 %unit, i64 %count, i64 %size, i64 %units, i64 %grid) alwaysinline {{
entry:
  %begin = mul i64 %unit, %size
  %following = add i64 %unit, %count
  %is_last = icmp eq i64 %following, %units
  %inner_end = mul i64 %following, %size
  %end = select i1 %is_last, i64 %grid, i64 %inner_end
  store i64 %begin, ptr %begin_at
  store i64 %end, ptr %end_at
  ret void
}}

; Runs chunks of a job until none is left to be begun, by whoever: how many units.
define internal i64 @take_chunks(ptr %pool, ptr %job) noinline {{
entry:
  %words = alloca [{launch_words} x i64], align 16
  %launch_at = getelementptr %job, ptr %job, i64 0, i32 1
  %launch = load ptr, ptr %launch_at
  call void @llvm.memcpy.inline.p0.p0.i64(ptr align 16 %words, ptr align 8 %launch, i64 {launch_bytes}, i1 false)
  %status_at = getelementptr i64, ptr %words, i64 {status_word}
  store i64 0, ptr %status_at
  %total_at = getelementptr %job, ptr %job, i64 0, i32 5
  %total = load i64, ptr %total_at
  %chunk_at = getelementptr %job, ptr %job, i64 0, i32 6
  %chunk = load i64, ptr %chunk_at
  %limit_at = getelementptr %job, ptr %job, i64 0, i32 7
  %next_at = getelementptr %job, ptr %job, i64 0, i32 9
  br label %take
take:
  %taken = phi i64 [ 0, %entry ], [ %taken_next, %ran ]
  %from = atomicrmw add ptr %next_at, i64 %chunk monotonic
  %limit = load atomic i64, ptr %limit_at monotonic, align 8
  %is_begun = icmp slt i64 %from, %limit
  br i1 %is_begun, label %run, label %end
run:
  %behind = add i64 %from, %chunk
  %to = call i64 @llvm.smin.i64(i64 %behind, i64 %total)
  %has_failed = call i64 @run_units(ptr %job, ptr %words, i64 %from, i64 %to)
  %count = sub i64 %to, %from
  %taken_next = add i64 %taken, %count
  %succeeded = icmp eq i64 %has_failed, 0
  br i1 %succeeded, label %ran, label %failed
ran:
  br label %take
failed:
  call void @lock(ptr %pool)
  %known = load i64, ptr %limit_at
  %is_first = icmp slt i64 %from, %known
  br i1 %is_first, label %note, label %noted
note:
  store atomic i64 %from, ptr %limit_at monotonic, align 8
  %launch_status_at = getelementptr i64, ptr %launch, i64 {status_word}
  call void @llvm.memcpy.inline.p0.p0.i64(ptr align 8 %launch_status_at, ptr align 8 %status_at, i64 {status_bytes}, i1 false)
  br label %noted
noted:
  call void @unlock(ptr %pool)
  br label %end
end:
  %result = phi i64 [ %taken, %take ], [ %taken_next, %noted ]
  call void @end_seats(ptr %pool)
  ret i64 %result
}}

; Offers what is left of a launch to the threads of the pool. False if the pool belongs to another launch.
define internal i1 @publish(ptr %pool, ptr %job, i64 %done, double %rate) noinline {{
entry:
  {most_at}
  {chunk_ticks_at}
  %is_claimed = call i1 @claim(ptr %pool, ptr %job)
  br i1 %is_claimed, label %fill, label %busy
fill:
  %most = load atomic i64, ptr %most_at monotonic, align 8
  %total_at = getelementptr %job, ptr %job, i64 0, i32 5
  %total = load i64, ptr %total_at
  %left = sub i64 %total, %done
  %threads = add i64 %most, 1
  %shares = mul i64 %threads, {chunks_per_thread}
  %share = sdiv i64 %left, %shares
  %chunk_ticks = load i64, ptr %chunk_ticks_at
  %least = call i64 @units_in(i64 %chunk_ticks, double %rate)
  %longer = call i64 @llvm.smax.i64(i64 %share, i64 %least)
  ; As many chunks for each thread as for the others, of one length.
  %few = call i64 @quotient_above(i64 %left, i64 %longer)
  %rounds = call i64 @quotient_above(i64 %few, i64 %threads)
  %many = mul i64 %rounds, %threads
  %is_round = icmp sgt i64 %few, %threads
  %chunks = select i1 %is_round, i64 %many, i64 %few
  %even = call i64 @quotient_above(i64 %left, i64 %chunks)
  %wanted = call i64 @whole_vectors(ptr %job, i64 %even, i64 %left, i64 %threads)
  ; Whole rows, where a chunk has some.
  %units_at = getelementptr %job, ptr %job, i64 0, i32 3
  %units_x = load i64, ptr %units_at
  %rest = srem i64 %wanted, %units_x
  %whole = sub i64 %wanted, %rest
  %has_row = icmp sge i64 %wanted, %units_x
  %chunk = select i1 %has_row, i64 %whole, i64 %wanted
  %chunk_at = getelementptr %job, ptr %job, i64 0, i32 6
  store i64 %chunk, ptr %chunk_at
  %limit_at = getelementptr %job, ptr %job, i64 0, i32 7
  store i64 %total, ptr %limit_at
  %next_at = getelementptr %job, ptr %job, i64 0, i32 9
  store i64 %done, ptr %next_at
  ; The launching thread has a chunk of its own.
  %last = sub i64 %left, 1
  %chunks_for_others = sdiv i64 %last, %chunk
  %seats = call i64 @llvm.smin.i64(i64 %chunks_for_others, i64 %most)
  call void @give_seats(ptr %pool, i64 %seats)
  ret i1 true
busy:
  ret i1 false
}}

; Some more units, so that threads which run alone fill the strips and vectors that rows are run in: if they nearly do, or if there
; are enough for all threads of the pool all the same.
define internal i64 @whole_vectors(ptr %job, i64 %units, i64 %left, i64 %threads) {{
entry:
  %size_at = getelementptr %job, ptr %job, i64 0, i32 4
  %size_x = load i64, ptr %size_at
  %is_alone = icmp eq i64 %size_x, 1
  %shares = mul i64 %threads, {least_chunks_per_thread}
  %share = sdiv i64 %left, %shares
  %room = call i64 @llvm.smax.i64(i64 %units, i64 %share)
  %is_long = icmp sge i64 %room, {long_strip}
  %is_short = icmp sge i64 %room, {short_strip}
  %shorter = select i1 %is_short, i64 {short_strip}, i64 1
  %strip = select i1 %is_long, i64 {long_strip}, i64 %shorter
  %grain = select i1 %is_alone, i64 %strip, i64 1
  %grains = call i64 @quotient_above(i64 %units, i64 %grain)
  %result = mul i64 %grains, %grain
  ret i64 %result
}}

define internal i64 @quotient_above(i64 %number, i64 %divisor) {{
entry:
  %quotient = udiv i64 %number, %divisor
  %rest = urem i64 %number, %divisor
  %is_exact = icmp eq i64 %rest, 0
  %more = add i64 %quotient, 1
  %result = select i1 %is_exact, i64 %quotient, i64 %more
  ret i64 %result
}}

; How many units a time is enough for, 1 at least.
define internal i64 @units_in(i64 %ticks, double %rate) {{
entry:
  %time = sitofp i64 %ticks to double
  %quotient = fdiv double %time, %rate
  %is_many = fcmp ogt double %quotient, 1.0e15
  %bounded = select i1 %is_many, double 1.0e15, double %quotient
  %units = fptosi double %bounded to i64
  %result = call i64 @llvm.smax.i64(i64 %units, i64 1)
  ret i64 %result
}}
"""
