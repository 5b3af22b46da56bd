"""The log of a whole account: how it is read, and why nothing can be missing.

The server has no numbered pages here, and counts nothing. It takes two instants and
returns the rows between them, in the order of their time, up to 200 at once, and a
cursor for what follows. Whether the newest or the oldest rows come first is documented
nowhere, so it is seen in the rows.

The **cursor** is not leaned on as long as that can be avoided: where it is made of a
time that is coarser than those of the rows, rows at a page's edge are passed by. Each
request after the first asks by time instead, from the millisecond that the page before
ended in. So this millisecond is read twice: once to its first part, and once as a
whole. The second request must show all that the first one did: that is a **seam**.
A request that does not is asked again, and if both stay with what they said, the read
ends with an error. A row that was in the log all the time lies between two seams, in
what one single answer showed.

A **crowd** is a millisecond with more rows than a page. Only the cursor leads through
it. It is read a second time with other page edges, and the two must agree.

**Slices** make it fast. The time is cut into parts that share their first and last
millisecond, and several are read at a time. They are as wide as some four pages, by
the density of the rows that were seen; where there are more rows, a slice is cut again.
Seams between slices are like those between pages.

Modules, without I/O: `log_window` has requests and `log_range` what is wanted;
`log_slice` has slices, `slice_plan` decides how wide they are, and `page_plan` what
follows an answer within one; `log_limits` finds out what a server refuses. `row_check`
checks the rows of an answer, `log_seam` compares those of two, and `log_rows` hands
them out. `account_walk` puts it together. `account_run` and `account_stream` read, over
`canopy_async._read`, and `time_parts` reads oldest first, part by part.
"""
