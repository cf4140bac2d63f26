-- What was measured before: counts of prompt sets, and the runs that answered a request.

-- scorer: hash of all that counts depend on but the texts; texts: hash of these. Whatever
-- changes one of them finds nothing, and two runs that measure the same enter it once.
CREATE TABLE counts (
    scorer TEXT NOT NULL,
    texts TEXT NOT NULL,
    pictures INTEGER NOT NULL,
    classes INTEGER NOT NULL,
    data BLOB NOT NULL,
    created_at TEXT NOT NULL,
    PRIMARY KEY (scorer, texts)
);

-- request: hash of the arguments, the code, the weights, the data and the texts; files:
-- JSON, of each file of the run's folder what it is and its SHA-256.
CREATE TABLE answers (
    request TEXT PRIMARY KEY,
    directory TEXT NOT NULL,
    files TEXT NOT NULL,
    created_at TEXT NOT NULL
);
