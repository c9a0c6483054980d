-- What the shop keeps.
CREATE TABLE IF NOT EXISTS orders (
    id bigserial PRIMARY KEY,
    placed timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS orders_placed ON orders (placed);
