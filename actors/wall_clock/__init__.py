"""Whether what the wall clock says may be taken for certain, before anything is destroyed for good."""
