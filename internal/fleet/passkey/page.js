"use strict";

const said = document.querySelector("#said");
const button = document.querySelector("button");

async function post(path, body) {
  const r = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  if (!r.ok) throw new Error(await r.text());
  return r.json();
}

async function use() {
  let step = await post("begin", {});
  while (step.kind !== "done") {
    const credential = step.kind === "create"
      ? await navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(step.options) })
      : await navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(step.options) });
    step = await post(step.kind, credential.toJSON());
  }
}

button.addEventListener("click", async () => {
  button.disabled = true;
  said.textContent = "The browser asks you now.";
  try {
    await use();
    said.textContent = "Done. fleetctl goes on; close this page.";
  } catch (e) {
    said.textContent = String(e);
    await post("failed", { error: String(e) }).catch(() => {});
    button.disabled = false;
  }
});
