import type { Measurement } from './fit-exponent.ts';

/** A line in a panel: `legend` stands beside its name. */
export interface Line {
  readonly name: string;
  readonly legend: string;
  readonly measurements: readonly Measurement[];
}

/** A diagram with two logarithmic axes. Every line has the same `x`, at which the ticks stand. */
export interface Panel {
  readonly title: string;
  readonly xLabel: string;
  readonly yLabel: string;
  readonly lines: readonly Line[];
}

const size = { width: 440, height: 300 };
const plot = { left: 70, right: 424, top: 78, bottom: 252 };
// each of these stands out from white as from black: the page's background shows through
const ink = '#7d8590';
const grid = 'rgba(125, 133, 144, 0.25)';
const colours = ['#2f81f7', '#d9730d', '#1a9e55', '#b45ad0'];

/** The panels as an SVG, two in a row; `title` is what a screen reader says. */
export function drawPanels(title: string, panels: readonly Panel[]): string {
  const rows = Math.ceil(panels.length / 2);
  const drawn = panels.map((panel, index) => {
    const [x, y] = [(index % 2) * size.width, Math.floor(index / 2) * size.height];
    return `<g transform="translate(${x} ${y})">\n${drawPanel(panel)}\n</g>`;
  });
  const box = `width="${2 * size.width}" height="${rows * size.height}" viewBox="0 0 ${2 * size.width} ${rows * size.height}"`;
  const font = `font-family="system-ui, sans-serif" font-size="12" fill="${ink}"`;
  return `<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="title" ${box} ${font}>\n<title id="title">${escaped(title)}</title>\n${drawn.join('\n')}\n</svg>\n`;
}

function drawPanel({ title, xLabel, yLabel, lines }: Panel): string {
  const all = lines.flatMap(({ measurements }) => measurements);
  const ticksX = [...new Set(all.map(([x]) => x))].sort((a, b) => a - b);
  const ticksY = roundTicks(all.map(([, y]) => y));
  const x = logarithmic(ticksX, plot.left + 14, plot.right - 14);
  const y = logarithmic(ticksY, plot.bottom, plot.top);
  const middle = (plot.top + plot.bottom) / 2;
  return [
    text(plot.left, 20, title, 'font-size="14" font-weight="600"'),
    ...ticksY.map((tick) => segment([plot.left, y(tick)], [plot.right, y(tick)], grid)),
    ...ticksY.map((tick) => text(plot.left - 8, y(tick) + 4, number(tick), 'text-anchor="end"')),
    ...ticksX.map((tick) => segment([x(tick), plot.bottom], [x(tick), plot.bottom + 5], ink)),
    ...ticksX.map((tick) => text(x(tick), plot.bottom + 19, number(tick), 'text-anchor="middle"')),
    segment([plot.left, plot.bottom], [plot.right, plot.bottom], ink),
    segment([plot.left, plot.top], [plot.left, plot.bottom], ink),
    text((plot.left + plot.right) / 2, plot.bottom + 38, xLabel, 'text-anchor="middle"'),
    text(14, middle, yLabel, `text-anchor="middle" transform="rotate(-90 14 ${middle})"`),
    ...lines.flatMap((line, index) => drawLine(line, index, (at) => [x(at[0]), y(at[1])])),
  ].join('\n');
}

function drawLine({ name, legend, measurements }: Line, index: number, place: (at: Measurement) => Measurement) {
  const colour = colours[index % colours.length] as string;
  const points = measurements.map(place);
  const row = 40 + 17 * index;
  return [
    `<polyline points="${points.map((point) => point.map(short).join(',')).join(' ')}" fill="none" stroke="${colour}" stroke-width="2"/>`,
    ...points.map((point) => dot(point, colour)),
    dot([plot.left + 4, row - 4], colour),
    text(plot.left + 14, row, `${name}: ${legend}`),
  ];
}

/** Where a value stands between `from` and `to`, which are the places of the least and the largest of `ticks`. */
function logarithmic(ticks: readonly number[], from: number, to: number): (value: number) => number {
  const [low, high] = [Math.log(Math.min(...ticks)), Math.log(Math.max(...ticks))];
  return (value) => from + ((Math.log(value) - low) / (high - low || 1)) * (to - from);
}

/** 1, 2 and 5 times powers of ten from below the least value to above the largest. */
function roundTicks(values: readonly number[]): number[] {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const powers = Array.from({ length: 14 }, (_, index) => 10 ** (index - 4));
  const round = powers.flatMap((power) => [power, 2 * power, 5 * power]);
  const first = round.findLastIndex((tick) => tick <= low);
  const last = round.findIndex((tick) => tick >= high);
  return round.slice(first, Math.max(last, first + 1) + 1);
}

function segment([x1, y1]: Measurement, [x2, y2]: Measurement, colour: string): string {
  return `<line x1="${short(x1)}" y1="${short(y1)}" x2="${short(x2)}" y2="${short(y2)}" stroke="${colour}"/>`;
}

function dot([x, y]: Measurement, colour: string): string {
  return `<circle cx="${short(x)}" cy="${short(y)}" r="3.5" fill="${colour}"/>`;
}

function text(x: number, y: number, content: string, attributes = ''): string {
  const place = `x="${short(x)}" y="${short(y)}"`;
  return `<text ${[place, attributes].join(' ').trim()}>${escaped(content)}</text>`;
}

function escaped(content: string): string {
  return content.replace(/&/g, '&amp;').replace(/</g, '&lt;');
}

function number(value: number): string {
  return Number(value.toPrecision(6)).toLocaleString('en');
}

function short(value: number): string {
  return String(Math.round(10 * value) / 10);
}
