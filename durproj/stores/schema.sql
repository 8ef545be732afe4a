CREATE TABLE run (
  no INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  identity TEXT NOT NULL,
  options TEXT NOT NULL,
  cursor TEXT,
  complete INTEGER NOT NULL CHECK (complete IN (0, 1)),
  updated_ms INTEGER NOT NULL,
  seal BLOB NOT NULL,
  UNIQUE (name, identity)
) STRICT;

CREATE TABLE workflow (
  no INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL,
  key TEXT NOT NULL,
  run INTEGER NOT NULL REFERENCES run (no),
  status TEXT NOT NULL CHECK (status IN ('pending', 'resolved', 'rejected', 'parked')),
  steps INTEGER NOT NULL CHECK (steps >= 0),
  state TEXT,
  error TEXT,
  updated_ms INTEGER NOT NULL,
  prefix_bytes INTEGER NOT NULL,
  prefix_steps INTEGER NOT NULL,
  hash BLOB NOT NULL,
  seal BLOB NOT NULL
) STRICT;

CREATE TABLE step (
  workflow INTEGER NOT NULL REFERENCES workflow (no),
  step INTEGER NOT NULL CHECK (step >= 0),
  meta BLOB NOT NULL,
  input BLOB NOT NULL,
  output BLOB NOT NULL,
  at_ms INTEGER NOT NULL,
  hash BLOB NOT NULL,
  PRIMARY KEY (workflow, step)
) STRICT, WITHOUT ROWID;

CREATE TABLE segment (
  workflow INTEGER NOT NULL REFERENCES workflow (no),
  start INTEGER NOT NULL CHECK (start >= 0),
  steps INTEGER NOT NULL CHECK (steps > 0),
  "full" INTEGER NOT NULL CHECK ("full" IN (0, 1)),
  at_ms INTEGER NOT NULL,
  seed BLOB NOT NULL,
  hash BLOB NOT NULL,
  packed BLOB NOT NULL,
  PRIMARY KEY (workflow, start)
) STRICT, WITHOUT ROWID;

CREATE TABLE attempt (
  workflow INTEGER NOT NULL REFERENCES workflow (no),
  step INTEGER NOT NULL,
  attempt INTEGER NOT NULL CHECK (attempt > 0),
  at_ms INTEGER NOT NULL,
  kind TEXT NOT NULL,
  message TEXT NOT NULL,
  retry_ms INTEGER,
  seal BLOB NOT NULL,
  PRIMARY KEY (workflow, step, attempt)
) STRICT, WITHOUT ROWID;

CREATE INDEX attempt_twin ON attempt (workflow, step, attempt);

CREATE TABLE crash (
  workflow INTEGER NOT NULL REFERENCES workflow (no),
  step INTEGER NOT NULL,
  at_ms INTEGER NOT NULL,
  PRIMARY KEY (workflow, step)
) STRICT, WITHOUT ROWID;

CREATE INDEX crash_twin ON crash (workflow, step);

CREATE VIEW projections AS
SELECT
  workflow.id,
  workflow.name,
  workflow.key,
  workflow.status,
  coalesce(
    (SELECT step.step + 1 FROM step WHERE step.workflow = workflow.no ORDER BY step.step DESC LIMIT 1),
    workflow.steps
  ) AS steps,
  CASE
    WHEN workflow.status = 'resolved' THEN workflow.state
    WHEN json_extract(run.options, '$.kind') = 'fold' THEN coalesce(
      (SELECT CAST(step.output AS TEXT) FROM step WHERE step.workflow = workflow.no
       ORDER BY step.step DESC LIMIT 1),
      workflow.state
    )
  END AS state,
  workflow.error,
  workflow.updated_ms
FROM workflow LEFT JOIN run ON run.no = workflow.run;

-- After the view: see whole.py.
CREATE TABLE past (
  workflow INTEGER PRIMARY KEY REFERENCES workflow (no),
  id TEXT NOT NULL,
  steps INTEGER NOT NULL CHECK (steps >= 0),
  hash BLOB NOT NULL,
  inputs BLOB NOT NULL,
  seal BLOB NOT NULL
) STRICT;
