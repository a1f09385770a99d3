"""Reading a collection as it lies, in the order in which its records were inserted: a server scans it with half of the
work that going through the index and fetching each record costs, and a disk reads on instead of seeking. What lies in
the order of ``_id``, or nearly so, is read so in parts; where ids are random, all of it is, and sorted on this host.
"""
