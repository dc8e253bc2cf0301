-- What replicas of one account share beside the ledger. Times are the server's, in milliseconds since 1970; nothing here must be
-- known for ever, and what belongs to the account is sealed with the ledger's keys.

-- Who is there: a replica is, as long as the server's clock has not reached `until_ms`. Shares are billionths of the account's rate.
CREATE TABLE replicas (
    account TEXT NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    address TEXT NOT NULL,
    begun_ms INTEGER NOT NULL,
    renewed_ms INTEGER NOT NULL,
    until_ms INTEGER NOT NULL,
    share INTEGER NOT NULL CHECK (share BETWEEN 0 AND 1000000000),
    wants INTEGER NOT NULL CHECK (wants BETWEEN 0 AND 1000000000),
    PRIMARY KEY (account, name)
) STRICT;

-- The account's pace: whoever changes it or a share of it does so at the revision that it has read. `part` is billionths of the
-- configured rate.
CREATE TABLE paces (
    account TEXT NOT NULL PRIMARY KEY,
    revision INTEGER NOT NULL,
    part INTEGER NOT NULL,
    changed_ms INTEGER NOT NULL,
    cut_ms INTEGER NOT NULL,
    paused_until_ms INTEGER NOT NULL
) STRICT;

-- What is watched: which replica looks at it, and what it saw last, asked for at `asked_ms`. Of the thing itself the key is a digest.
CREATE TABLE sights (
    account TEXT NOT NULL,
    key TEXT NOT NULL,
    holder TEXT NOT NULL,
    asked_ms INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (account, key)
) STRICT;

-- The public catalog: which replica is asking for it, until when that is believed, and what it was told last, asked for at `asked_ms`
-- when the ledger's latest entry was `place`. The key is a digest.
CREATE TABLE answers (
    account TEXT NOT NULL,
    key TEXT NOT NULL,
    holder TEXT NOT NULL,
    asking_until_ms INTEGER NOT NULL,
    asked_ms INTEGER NOT NULL,
    place INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (account, key)
) STRICT;
