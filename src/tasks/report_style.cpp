#include "tasks/report_page.h"

namespace hone {

// Colours are variables, so that light, dark and print differ in one place. Text keeps a contrast
// of 4.5 to what is behind it. A cell is as wide as its text up to a limit: no letter stands alone.
const char* const kReportStyle = R"css(
:root{color-scheme:light dark;--bg:#fafaf8;--card:#fff;--ink:#1d2430;--soft:#59636f;
--rule:#dfe3e8;--accent:#2f6fdb;--good:#2a9d6f;--bad:#d1495b;--good-ink:#17704c;--bad-ink:#b02a3f;
--s0:#2f6fdb;--s1:#c8640a;--s2:#1f8a5f;--s3:#a251c9;--s4:#d1495b;--s5:#0f8b9d}
@media screen and (prefers-color-scheme:dark){:root{--bg:#12161d;--card:#1a202a;--ink:#e6e9ef;
--soft:#a3adbb;--rule:#2f3844;--accent:#7aa7f7;--good:#5cc79b;--bad:#ef7d8c;--good-ink:#6fd3a8;
--bad-ink:#f595a2;--s0:#7aa7f7;--s1:#f2a65a;--s2:#5cc79b;--s3:#c792ea;--s4:#ef7d8c;--s5:#4cc3d5}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif}
main{max-width:1060px;margin:0 auto;padding:28px 18px 60px}
h1{font-size:1.6rem;line-height:1.25;margin:0 0 4px;overflow-wrap:anywhere}
h2{font-size:1.15rem;margin:34px 0 10px}h3{font-size:1rem;margin:0 0 8px}
p{margin:0 0 8px}.soft{color:var(--soft)}
.facts{overflow-wrap:anywhere}
.card{background:var(--card);border:1px solid var(--rule);border-radius:10px;padding:16px;
margin:12px 0;min-width:0}
.score{font-size:3rem;font-weight:650;letter-spacing:-.02em;line-height:1.1}
.number,.score{white-space:nowrap;font-variant-numeric:tabular-nums}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(152px,1fr));gap:10px}
.cards .card{margin:0;padding:10px 14px}
.cards b{font-size:1.3rem;display:block}.cards small{font-size:.82rem;display:block}
.range{display:block;position:relative;height:8px;border-radius:4px;background:var(--rule);
margin:6px 0;max-width:340px}
.range i{position:absolute;top:0;bottom:0;border-radius:4px;background:var(--accent);opacity:.45;
min-width:2px}
.range b{position:absolute;top:-3px;bottom:-3px;width:3px;margin-left:-1px;border-radius:2px;
background:var(--accent)}
.range u{position:absolute;top:-3px;bottom:-3px;width:0;border-left:2px dotted var(--ink)}
table{border-collapse:collapse;width:100%;font-size:.92rem}
th{font-weight:600;color:var(--soft);text-align:right;padding:5px 8px;vertical-align:bottom;
border-bottom:1px solid var(--rule)}
td{text-align:right;padding:5px 8px;border-bottom:1px solid var(--rule);vertical-align:top}
th:first-child,td:first-child{text-align:left}
td,thead th{white-space:nowrap;font-variant-numeric:tabular-nums}
tfoot td{color:var(--soft)}
.name{overflow-wrap:anywhere}
td .name{display:inline-block;width:max-content;max-width:min(30em,40vw);white-space:normal;
vertical-align:top}
td.flow{white-space:normal;min-width:8em;overflow-wrap:anywhere}
.flow{text-align:left}
td.flow .name{display:inline;width:auto;max-width:none}
.text{overflow-wrap:anywhere;unicode-bidi:plaintext}
th button{all:unset;cursor:pointer;white-space:nowrap}
th button::after{content:"\2195";margin-left:3px;opacity:.6}
th[aria-sort=descending] button::after{content:"\2193";opacity:1}
th[aria-sort=ascending] button::after{content:"\2191";opacity:1}
:focus-visible,th button:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
.scroll{overflow-x:auto}
.two{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(340px,100%),1fr));gap:12px;
margin:12px 0}.two .card{margin:0}
.beside{display:flex;flex-wrap:wrap;gap:12px;margin:12px 0}.beside .card{margin:0;max-width:100%}
.beside .fill{flex:1 1 300px}
svg{display:block}svg.chart{width:100%;max-width:470px;height:auto;margin:0 auto}
.tick{fill:var(--soft);font-size:12px}.cell{fill:var(--ink);font-size:12px}
.grid{stroke:var(--rule)}.line{fill:none;stroke-width:2}
.diagonal{stroke:var(--soft);stroke-dasharray:5 4}.bar{fill:var(--accent)}
.right{fill:var(--good)}.wrong{fill:var(--bad)}.frame{fill:none;stroke:var(--rule)}
.s0{--hue:var(--s0)}.s1{--hue:var(--s1)}.s2{--hue:var(--s2)}
.s3{--hue:var(--s3)}.s4{--hue:var(--s4)}.s5{--hue:var(--s5)}
.line{stroke:var(--hue)}.dot{fill:var(--hue)}
.parallel{width:100%}.parallel .line{stroke-width:1.5;stroke-linecap:round}
.parallel .best{stroke-width:4}.parallel .dot{stroke:var(--card);stroke-width:1.5}
.axis{stroke:var(--soft)}.strong{fill:var(--ink);font-weight:600}
.over{paint-order:stroke;stroke:var(--card);stroke-width:6px;stroke-linejoin:round}
.swatch{display:inline-block;width:10px;height:10px;border-radius:3px;margin-right:5px;
background:var(--hue)}
.legend{margin:6px 0 0;font-size:.88rem;color:var(--soft)}
.legend span{margin-right:14px;display:inline-block}
.meter{display:block;height:8px;border-radius:4px;background:var(--accent);margin-top:7px}
td.wide{width:22%}
.warn{border-left:4px solid var(--bad)}.warn>p:last-child{margin-bottom:0}
ol.examples,ul.pairs{list-style:none;margin:0;padding:0}
.examples>li{display:grid;grid-template-columns:minmax(0,1fr) minmax(0,20em);gap:4px 20px;
padding:9px 0;border-bottom:1px solid var(--rule)}
.pairs>li{padding:8px 0;border-bottom:1px solid var(--rule)}
.examples>li:last-child,.pairs>li:last-child{border-bottom:0}
.verdict{overflow-wrap:anywhere}.verdict small{display:block;color:var(--soft);font-size:.85rem}
.pairs p{margin:2px 0}
ol.generated{list-style:none;margin:0;padding:0}
.generated>li{padding:12px 0;border-bottom:1px solid var(--rule)}
.generated>li:last-child{border-bottom:0}.generated small{display:block;font-size:.85rem}
.generated .source{margin:4px 0;font-size:.92rem}
.sides{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(300px,100%),1fr));
gap:6px 24px;margin-top:6px}.side{min-width:0}
.lines{white-space:pre-wrap;overflow-wrap:anywhere;unicode-bidi:plaintext;overflow:hidden;
padding:2px 0}
.tall{max-height:18em;overflow-y:auto;border-bottom:1px dashed var(--rule)}
del,ins{text-decoration-thickness:2px;text-underline-offset:3px}
del{color:var(--good-ink);text-decoration:underline dotted}
ins{color:var(--bad-ink);text-decoration:underline}
code,pre{font:13px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace}
code{overflow-wrap:anywhere}pre{overflow-x:auto;margin:8px 0 0}
.gold{color:var(--good-ink)}.pred{color:var(--bad-ink)}
dl.keys{display:grid;grid-template-columns:minmax(7em,auto) minmax(0,1fr);gap:5px 16px;margin:0}
.keys dt{color:var(--soft)}.keys dd{margin:0;overflow-wrap:anywhere}
details{margin-top:8px}summary{cursor:pointer;font-weight:600}
@media(max-width:640px){main{padding:18px 10px 40px}.card{padding:12px 10px}.wide{display:none}
td,th{padding:5px 4px}table{font-size:.86rem}.score{font-size:2.5rem}
.examples>li{grid-template-columns:minmax(0,1fr)}
.stack tr{display:grid;grid-template-columns:repeat(4,1fr);border-bottom:1px solid var(--rule)}
.stack tr>*{border:0;padding:3px 4px}.stack tr>:first-child{grid-column:1/-1}
.stack .name{max-width:100%}.stack tr>:nth-child(2){text-align:left}
.cards{grid-template-columns:repeat(auto-fill,minmax(140px,1fr))}}
@media(max-width:370px){.chart .tick{font-size:14px}}
@media print{:root{color-scheme:light;--bg:#fff}body{font-size:11pt}main{max-width:none;padding:0}
.card{break-inside:avoid;border-radius:0}.scroll{overflow:visible}.tall{max-height:none}
h2{break-after:avoid}
th button::after{content:""}summary{list-style:none}li,tr{break-inside:avoid}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
)css";

}  // namespace hone
