"""The page: `impasto web`, a studio in the browser that stays on this machine."""
