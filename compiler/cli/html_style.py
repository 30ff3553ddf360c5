"""How pages of tables look: those of `matrix` and of `verify --fleet`."""

STYLE = """\
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem; }
.wide { overflow-x: auto; margin: 0 0 2rem; }
table { border-collapse: collapse; }
caption { font-weight: bold; text-align: left; padding: .5rem 0; }
th, td { border: 1px solid GrayText; padding: .3rem .6rem; text-align: left; vertical-align: top; }
th { font-weight: 600; }
td { font-variant-numeric: tabular-nums; }
"""
