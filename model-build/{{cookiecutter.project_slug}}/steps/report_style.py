"""The look of report.html."""

STYLE = """
:root {
  color-scheme: light dark;
  --page: #eef1f4; --card: #fff; --empty: #f5f7f9;
  --ink: #1f2933; --soft: #616e7c; --line: #d5dbe1; --good: #00684a; --bad: #a63c00; --accent: #0072b2;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --page: #14181d; --card: #1d232a; --empty: #262d35;
    --ink: #e6eaee; --soft: #9ba7b4; --line: #38424d; --good: #4cc9a0; --bad: #ff9a5c; --accent: #58b4ea;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, Helvetica, Arial, sans-serif;
}
main { max-width: 1180px; margin: 0 auto; padding: 32px 20px 60px; }
h1 { font-size: 26px; line-height: 1.25; margin: 0 0 4px; }
h2 { font-size: 18px; margin: 0 0 4px; }
p { margin: 0 0 12px; color: var(--soft); max-width: 76ch; }
section, .tile { background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
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
.target { margin: 44px 0 -4px; padding-top: 18px; border-top: 3px solid var(--accent); }
.target h2 { font-size: 24px; }
.tiles, .pair { display: grid; gap: 14px; }
.tiles { grid-template-columns: repeat(auto-fit, minmax(190px, 1fr)); margin-top: 18px; }
.tiles.wider { grid-template-columns: repeat(auto-fit, minmax(min(300px, 100%), 1fr)); }
.tile { padding: 16px 18px; }
a.tile { color: inherit; text-decoration: none; }
a.tile b { color: var(--accent); }
a.tile:hover, a.tile:focus-visible { border-color: var(--accent); }
.tile span { display: block; color: var(--soft); font-size: 13px; }
.tile strong { display: block; font-size: 30px; line-height: 1.3; font-variant-numeric: tabular-nums; }
.pair { grid-template-columns: repeat(auto-fit, minmax(min(480px, 100%), 1fr)); }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: left; color: var(--soft); font-weight: 600; font-size: 13px; }
th, td { padding: 7px 14px 7px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
tbody tr:last-child td { border-bottom: 0; }
.number { text-align: right; white-space: nowrap; }
.text { min-width: 320px; overflow-wrap: anywhere; }
@media (max-width: 600px) {
  main { padding: 18px 10px 40px; }
  h1 { font-size: 21px; }
  section { padding: 16px 14px; }
  .tiles { grid-template-columns: repeat(auto-fit, minmax(140px, 1fr)); gap: 10px; }
  .tile { padding: 12px 14px; }
  .tile strong { font-size: 25px; }
}
@media print {
  body { background: none; }
  section, .tile { break-inside: avoid; }
}
"""
