"use strict";
(function () {
  for (const button of document.querySelectorAll("button.copy")) {
    button.hidden = false;
    button.addEventListener("click", function () {
      const code = button.previousElementSibling;
      const done = function () {
        button.textContent = "Copied";
        setTimeout(function () { button.textContent = "Copy"; }, 1500);
      };
      const select = function () { getSelection().selectAllChildren(code); };
      if (navigator.clipboard) navigator.clipboard.writeText(code.textContent).then(done, select);
      else select();
    });
  }

  const section = document.getElementById("all");
  if (!section) return;
  const LIMIT = 200;
  const kinds = section.dataset.outcomes.split("\n").map(function (line) { return line.split("\t"); });
  const FLAKY = kinds.length;
  kinds.push(["flaky", "≈", "flaky"]);
  const cases = [];
  const counts = kinds.map(function () { return 0; });
  let job = "", unit = "";
  for (const row of JSON.parse(document.getElementById("cases").textContent)) {
    if (row.length === 2) { job = row[0]; unit = row[1]; continue; }
    const id = row[3] & 2 ? unit + row[0] : row[0];
    const flaky = (row[3] & 1) === 1;
    cases.push({ id: id, find: (id + " " + job).toLowerCase(), kind: row[1], flaky: flaky, us: row[2] });
    counts[row[1]] += 1;
    if (flaky) counts[FLAKY] += 1;
  }
  const time = function (us) {
    if (us < 1000) return us + "µs";
    if (us < 999950) return Math.round(us / 1000) + "ms";
    if (us < 59950000) return (us / 1e6).toFixed(1) + "s";
    const s = Math.round(us / 1e6);
    return Math.floor(s / 60) + "m " + String(s % 60).padStart(2, "0") + "s";
  };
  const element = function (tag, name, text) {
    const made = document.createElement(tag);
    made.className = name;
    made.textContent = text;
    return made;
  };
  const input = document.getElementById("q");
  const rows = document.getElementById("rows");
  const found = document.getElementById("found");
  let chosen = -1;
  const show = function () {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    const list = document.createDocumentFragment();
    let matches = 0;
    for (const one of cases) {
      if (chosen === FLAKY ? !one.flaky : chosen >= 0 && one.kind !== chosen) continue;
      if (!words.every(function (word) { return one.find.includes(word); })) continue;
      matches += 1;
      if (matches > LIMIT) continue;
      const kind = one.flaky ? kinds[FLAKY] : kinds[one.kind];
      const item = document.createElement("li");
      item.append(element("span", "tag " + kind[0], kind[1] + " " + kind[2]), element("code", "id", one.id),
        element("span", "facts", time(one.us)));
      list.append(item);
    }
    rows.replaceChildren(list);
    const of = matches === 1 ? "1 case" : matches.toLocaleString("en") + " cases";
    found.textContent = matches > LIMIT ? of + ", the first " + LIMIT + " shown" : of;
  };
  const buttons = document.getElementById("kinds");
  kinds.forEach(function (kind, n) {
    if (counts[n] === 0) return;
    const button = element("button", "", kind[1] + " " + kind[2]);
    button.type = "button";
    button.setAttribute("aria-pressed", "false");
    button.addEventListener("click", function () {
      chosen = chosen === n ? -1 : n;
      for (const other of buttons.children) other.setAttribute("aria-pressed", String(other === button && chosen === n));
      show();
    });
    buttons.append(button);
  });
  let wait = 0;
  input.addEventListener("input", function () { clearTimeout(wait); wait = setTimeout(show, 80); });
  document.getElementById("search").hidden = false;
  show();
})();
