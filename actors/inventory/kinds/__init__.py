"""One file for each kind of resource; its `KIND` is the whole declaration. The registry reads every file here."""
