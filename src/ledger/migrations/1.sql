-- The first schema. It is written for SQLite; `schema.rs` has the four words that PostgreSQL spells otherwise.

-- The ledger itself: it only grows. `seq` is 1, 2, 3 and so on within an account.
CREATE TABLE entries (
    account TEXT NOT NULL,
    seq INTEGER NOT NULL CHECK (seq > 0),
    at_ms INTEGER NOT NULL,
    id TEXT NOT NULL,
    body BLOB NOT NULL,
    mac BLOB NOT NULL,
    PRIMARY KEY (account, seq)
) STRICT;

CREATE INDEX entries_of_operation ON entries (account, id, seq);

-- What the latest entry of each operation can be found by.
CREATE TABLE operations (
    account TEXT NOT NULL,
    id TEXT NOT NULL,
    caller TEXT NOT NULL,
    key TEXT,
    operation TEXT NOT NULL,
    state TEXT NOT NULL,
    open INTEGER NOT NULL CHECK (open IN (0, 1)),
    sending INTEGER NOT NULL CHECK (sending IN (0, 1)),
    owner TEXT NOT NULL,
    held_vnd INTEGER NOT NULL,
    posted_vnd INTEGER NOT NULL,
    day INTEGER NOT NULL,
    month INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    changed_ms INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (account, id),
    FOREIGN KEY (account, seq) REFERENCES entries (account, seq)
) STRICT;

-- At most one operation for a caller's key, and at most one that is being sent.
CREATE UNIQUE INDEX operations_key ON operations (account, caller, key) WHERE key IS NOT NULL;
CREATE UNIQUE INDEX operations_sending ON operations (account) WHERE sending = 1;

-- `open` stands in its own index: SQLite otherwise takes the one of all operations, which is in the same order, and reads
-- every operation there ever was to find the few that are open.
CREATE INDEX operations_open ON operations (account, open, created_ms, id) WHERE open = 1;
CREATE INDEX operations_ended ON operations (account, open, changed_ms) WHERE open = 0;
CREATE INDEX operations_created ON operations (account, created_ms, id);
-- With the amounts, so that a sum over a month reads no row.
CREATE INDEX operations_day ON operations (account, caller, day, held_vnd, posted_vnd);
CREATE INDEX operations_month ON operations (account, caller, month, held_vnd, posted_vnd);

-- What is kept beside the entries; `head` is the place and the MAC of the latest entry.
CREATE TABLE notes (
    account TEXT NOT NULL,
    name TEXT NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (account, name)
) STRICT;
