"use strict";
// Lists the operations of /openapi.json and tries them. Text goes into the page as text only, never as markup.
const $ = (id) => document.getElementById(id);
const METHODS = ["get", "post", "put", "patch", "delete"];
let api = null;

function make(name, attributes, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key === "text") element.textContent = value;
    else if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value !== false && value != null) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child != null));
  return element;
}

// Words between backticks are code.
function prose(text) {
  const parts = String(text).split("`");
  return parts.map((part, at) => (at % 2 && parts.length % 2 ? make("code", { text: part }) : part));
}

function resolve(value) {
  let found = value;
  for (let step = 0; found && found.$ref && step < 20; step++) {
    found = found.$ref.slice(2).split("/").reduce((at, part) => at && at[part.replace(/~1/g, "/").replace(/~0/g, "~")], api);
  }
  return found || {};
}

const nameOf = (schema) => (schema && schema.$ref ? schema.$ref.split("/").pop() : null);

function typeOf(schema) {
  if (!schema) return "any";
  const name = nameOf(schema);
  if (name) return name;
  const union = schema.oneOf || schema.anyOf || schema.allOf;
  if (union) return union.map(typeOf).join(" | ");
  const types = [].concat(schema.type || "any");
  return types.map((type) => (type === "array" ? typeOf(schema.items) + "[]" : type)).join(" | ");
}

function limits(schema) {
  const found = resolve(schema);
  const words = [];
  if (found.enum) words.push("one of " + found.enum.join(", "));
  for (const key of ["format", "minimum", "maximum", "minLength", "maxLength", "maxItems", "pattern", "default"]) {
    if (found[key] !== undefined) words.push(key + " " + found[key]);
  }
  return words.join("; ");
}

function example(schema, depth) {
  const found = resolve(schema);
  if (found.example !== undefined) return found.example;
  if (found.default !== undefined) return found.default;
  if (found.enum) return found.enum[0];
  const union = found.oneOf || found.anyOf || found.allOf;
  if (union) return example(union.find((part) => part.type !== "null") || {}, depth);
  const type = [].concat(found.type || []).find((word) => word !== "null");
  if (type === "object" || found.properties) {
    const made = {};
    if (depth > 4) return made;
    for (const key of found.required || []) made[key] = example((found.properties || {})[key], depth + 1);
    return made;
  }
  if (type === "array") return [];
  if (type === "integer" || type === "number") return found.minimum || 0;
  if (type === "boolean") return false;
  return type === "string" ? "" : null;
}

function fields(schema) {
  const found = resolve(schema);
  const properties = found.properties || (found.items && resolve(found.items).properties);
  if (!properties) return make("p", { class: "quiet", text: typeOf(schema) + " " + limits(schema) });
  const required = new Set(found.required || []);
  const row = ([name, part]) => make("tr", {},
    make("td", {}, make("code", { text: name + (required.has(name) ? "" : "?") })),
    make("td", { text: typeOf(part) }),
    make("td", {}, ...prose([part.description || resolve(part).description || "", limits(part)].filter(Boolean).join(" · "))));
  return make("table", {}, make("tbody", {}, ...Object.entries(properties).map(row)));
}

async function send(method, path, headers, body) {
  const key = $("key").value.trim();
  if (key) headers.authorization = "Bearer " + key;
  const began = performance.now();
  const response = await fetch(path, { method: method.toUpperCase(), headers, body, credentials: "omit", redirect: "error" });
  const text = await response.text();
  return { response, text, took: Math.round(performance.now() - began) };
}

function pretty(text) {
  try { return JSON.stringify(JSON.parse(text), null, 2); } catch { return text; }
}

function trial(method, path, operation, parameters) {
  const inputs = parameters.map((parameter) => [parameter, make("input", {
    "aria-label": parameter.name,
    placeholder: limits(parameter.schema),
    type: "text",
  })]);
  const content = operation.requestBody && resolve(operation.requestBody).content;
  const kind = content && Object.keys(content)[0];
  const body = kind && make("textarea", { "aria-label": "body", spellcheck: "false" });
  if (body && kind === "application/json") body.value = JSON.stringify(example(content[kind].schema, 0), null, 2);
  const answer = make("div", { "aria-live": "polite" });
  const go = async () => {
    let place = path;
    const query = new URLSearchParams();
    const headers = {};
    for (const [parameter, input] of inputs) {
      const value = input.value.trim();
      if (parameter.in === "path") place = place.replace("{" + parameter.name + "}", encodeURIComponent(value));
      else if (value && parameter.in === "query") query.append(parameter.name, value);
      else if (value && parameter.in === "header") headers[parameter.name] = value;
    }
    if (body) headers["content-type"] = kind;
    const asked = query.toString() ? place + "?" + query : place;
    answer.replaceChildren(make("p", { class: "quiet", text: "…" }));
    try {
      const { response, text, took } = await send(method, asked, headers, body ? body.value : undefined);
      const heads = [...response.headers].map(([name, value]) => name + ": " + value).join("\n");
      answer.replaceChildren(
        make("p", {}, make("span", { class: "status", text: response.status + " " + response.statusText }),
          make("span", { class: "sum", text: method.toUpperCase() + " " + asked + " · " + took + " ms" })),
        make("details", {}, make("summary", { text: "Headers" }), make("div", {}, make("pre", { text: heads }))),
        make("pre", { text: pretty(text) || "(empty)" }));
    } catch (error) {
      answer.replaceChildren(make("p", { class: "status", text: "no answer: " + error.message }));
    }
  };
  const row = ([parameter, input]) => make("tr", {},
    make("td", {}, make("code", { text: parameter.name + (parameter.required ? "" : "?") }), make("span", { class: "sum", text: parameter.in })),
    make("td", {}, ...prose([typeOf(parameter.schema), parameter.description || ""].filter(Boolean).join(" · "))),
    make("td", {}, input));
  return make("form", { onsubmit: (event) => { event.preventDefault(); go(); } },
    inputs.length ? make("table", {}, make("tbody", {}, ...inputs.map(row))) : null,
    body ? make("p", { class: "quiet", text: "Body: " + kind }) : null,
    body || null,
    body && content[kind].schema ? fields(content[kind].schema) : null,
    make("p", {}, make("button", { type: "submit", text: "Send" })),
    answer);
}

function answers(operation) {
  const row = ([status, response]) => {
    const found = resolve(response);
    const content = found.content && Object.values(found.content)[0];
    return make("tr", {}, make("td", { class: "status", text: status }),
      make("td", { text: found.description || "" }), make("td", { text: content ? typeOf(content.schema) : "" }));
  };
  return make("table", {}, make("tbody", {}, ...Object.entries(operation.responses || {}).map(row)));
}

function show(method, path, operation) {
  const parameters = (operation.parameters || []).map(resolve);
  const inner = make("div", {});
  const details = make("details", { id: operation.operationId }, make("summary", {},
    make("span", { class: "method " + method, text: method.toUpperCase() }),
    make("span", { class: "path", text: path }),
    make("span", { class: "sum" }, ...prose(operation.summary || ""))), inner);
  details.dataset.text = (method + " " + path + " " + (operation.summary || "")).toLowerCase();
  details.addEventListener("toggle", () => {
    if (!details.open || inner.childElementCount) return;
    inner.append(
      make("p", {}, ...prose(operation.description || "")),
      trial(method, path, operation, parameters),
      make("h3", { text: "Answers" }), answers(operation));
  });
  return details;
}

function list() {
  const groups = new Map();
  for (const [path, item] of Object.entries(api.paths)) {
    for (const method of METHODS) {
      if (!item[method]) continue;
      const tag = (item[method].tags || ["other"])[0];
      if (!groups.has(tag)) groups.set(tag, []);
      groups.get(tag).push(show(method, path, item[method]));
    }
  }
  const section = ([tag, parts]) => make("section", {}, make("h2", { text: tag }), ...parts);
  $("operations").replaceChildren(...[...groups].map(section));
  const schemas = Object.entries((api.components || {}).schemas || {});
  $("schemas").replaceChildren(...schemas.map(([name, schema]) => make("details", {},
    make("summary", { text: name }),
    make("div", {}, make("p", {}, ...prose(schema.description || "")), fields(schema)))));
}

function find() {
  const words = $("find").value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const section of $("operations").children) {
    let any = false;
    for (const details of section.querySelectorAll(":scope > details")) {
      details.hidden = !words.every((word) => details.dataset.text.includes(word));
      any = any || !details.hidden;
    }
    section.hidden = !any;
  }
}

async function who() {
  try {
    const { response, text } = await send("get", "/v1/me", {});
    const body = JSON.parse(text);
    const grants = response.ok && body.grants.map((grant) => grant.role + " of " + (grant.project || "everything")).join(", ");
    $("me").textContent = response.ok ? body.subject + ": " + (grants || "no role anywhere") : body.detail;
  } catch (error) {
    $("me").textContent = "no answer: " + error.message;
  }
}

async function start() {
  try {
    api = await (await fetch("/openapi.json")).json();
  } catch (error) {
    $("about").textContent = "The description cannot be read: " + error.message;
    return;
  }
  $("about").replaceChildren(...prose(api.info.description));
  list();
  $("find").addEventListener("input", find);
  $("who").addEventListener("click", who);
  if (location.hash) {
    const target = $(location.hash.slice(1));
    if (target) { target.open = true; target.scrollIntoView(); }
  }
}

start();
