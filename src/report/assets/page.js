'use strict';
const data = JSON.parse(document.getElementById('data').textContent);
const SVG = 'http://www.w3.org/2000/svg';
const byId = id => document.getElementById(id);
// All text of the model goes through textContent: names are untrusted.
function make(name, text, attributes, ...children) {
  const e = document.createElement(name);
  if (text !== undefined && text !== null) e.textContent = text;
  for (const [k, v] of Object.entries(attributes || {})) e.setAttribute(k, v);
  e.append(...children);
  return e;
}
function svg(name, attributes, text) {
  const e = document.createElementNS(SVG, name);
  for (const [k, v] of Object.entries(attributes || {})) e.setAttribute(k, v);
  if (text !== undefined) e.textContent = text;
  return e;
}
// With the unit: '154.2 kB', '70.5 k', '960 B'.
const number = (n, unit = '') => (n >= 1e9 ? (n / 1e9).toFixed(2) + ' G' : n >= 1e6 ? (n / 1e6).toFixed(2) + ' M' : n >= 1e4 ? (n / 1e3).toFixed(1) + ' k' : n + ' ').concat(unit).trim();
const shorten = (s, n) => s.length > n ? s.slice(0, n - 1) + '\u2026' : s;
