"""The look of report.html."""

STYLE = """
:root {
  color-scheme: light;
  --ink: #1f2933; --soft: #616e7c; --line: #d5dbe1; --good: #00684a; --bad: #a63c00;
}
* { box-sizing: border-box; }
body {
  margin: 0; background: #eef1f4; color: var(--ink);
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, Helvetica, Arial, sans-serif;
}
main { max-width: 1180px; margin: 0 auto; padding: 32px 20px 60px; }
h1 { font-size: 26px; line-height: 1.25; margin: 0 0 4px; }
h2 { font-size: 18px; margin: 0 0 4px; }
p { margin: 0 0 12px; color: var(--soft); max-width: 76ch; }
section, .tile { background: #fff; border: 1px solid var(--line); border-radius: 10px; }
section { padding: 22px 24px; margin-top: 18px; }
svg { display: block; max-width: none; font-family: inherit; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 16px; margin: 10px 0 0; }
dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
.wide { overflow-x: auto; }
.gate { display: flex; flex-wrap: wrap; gap: 4px 14px; align-items: baseline; border-left: 6px solid; }
.gate b { font-size: 17px; white-space: nowrap; }
.gate.passed { border-left-color: var(--good); }
.gate.missed { border-left-color: var(--bad); }
.passed b, td.passed { color: var(--good); }
.missed b, td.missed { color: var(--bad); }
.tiles, .pair { display: grid; gap: 14px; }
.tiles { grid-template-columns: repeat(auto-fit, minmax(190px, 1fr)); margin-top: 18px; }
.tile { padding: 16px 18px; }
.tile span { display: block; color: var(--soft); font-size: 13px; }
.tile strong { display: block; font-size: 30px; line-height: 1.3; font-variant-numeric: tabular-nums; }
.pair { grid-template-columns: repeat(auto-fit, minmax(min(480px, 100%), 1fr)); }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: left; color: var(--soft); font-weight: 600; font-size: 13px; }
th, td { padding: 7px 14px 7px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
tbody tr:last-child td { border-bottom: 0; }
.number { text-align: right; white-space: nowrap; }
.text { min-width: 320px; overflow-wrap: anywhere; }
@media print {
  body { background: #fff; }
  section, .tile { break-inside: avoid; }
}
"""
