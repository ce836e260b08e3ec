-- What a read model holds is read exactly: numeric columns as texts.

-- A snapshot is a cache: those whose state had lost the order of its keys are made anew.
delete from amends.snapshots;
