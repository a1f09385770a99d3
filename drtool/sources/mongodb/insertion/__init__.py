"""Reading a collection as it lies, in the order in which its records were inserted, where that is the order of ``_id``
or nearly so: a server scans it with half of the work that going through the index and fetching each record costs, and
a disk reads on instead of seeking.
"""
