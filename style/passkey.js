// Passkeys: asks the server what is to be signed and the browser to have it signed, and puts the answer into the form.
// Without this, or where the browser knows no passkeys, the forms stay hidden and everything else works.

const bytes = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (char) => char.charCodeAt(0));
const text = (buffer) =>
  btoa(Array.from(new Uint8Array(buffer), (byte) => String.fromCharCode(byte)).join(""))
    .replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
const described = (list) => list.map((of) => ({ ...of, id: bytes(of.id) }));

async function made(options) {
  const publicKey = {
    ...options,
    challenge: bytes(options.challenge),
    user: { ...options.user, id: bytes(options.user.id) },
    excludeCredentials: described(options.excludeCredentials),
  };
  const { id, response } = await navigator.credentials.create({ publicKey });
  return { id, response: { clientDataJSON: text(response.clientDataJSON), attestationObject: text(response.attestationObject) } };
}

async function used(options) {
  const publicKey = { ...options, challenge: bytes(options.challenge), allowCredentials: described(options.allowCredentials) };
  const { id, response } = await navigator.credentials.get({ publicKey });
  return {
    id,
    response: {
      clientDataJSON: text(response.clientDataJSON),
      authenticatorData: text(response.authenticatorData),
      signature: text(response.signature),
      userHandle: response.userHandle ? text(response.userHandle) : null,
    },
  };
}

async function ask(form) {
  const reply = await fetch(form.dataset.question, { method: "POST", body: new URLSearchParams(new FormData(form)) });
  const options = reply.headers.get("content-type")?.startsWith("application/json") ? await reply.json() : {};
  if (!reply.ok || reply.redirected || !options.challenge) {
    throw new Error(options.problem ?? "Pinger did not answer. Open the page again, and try once more.");
  }
  return form.dataset.passkey === "create" ? made(options) : used(options);
}

const told = {
  NotAllowedError: "No passkey was used: it was cancelled, or took too long.",
  InvalidStateError: "This device has a passkey for you already.",
  SecurityError: "The browser allows no passkeys here. They need HTTPS, or localhost.",
};

for (const form of document.querySelectorAll("form[data-passkey]")) {
  if (!window.PublicKeyCredential) continue;
  form.hidden = false;
  const problem = form.querySelector("[data-problem]");
  const button = form.querySelector("button");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    problem.hidden = true;
    button.disabled = true;
    try {
      form.elements.credential.value = JSON.stringify(await ask(form));
      form.submit();
    } catch (error) {
      problem.textContent = told[error.name] ?? error.message;
      problem.hidden = false;
      button.disabled = false;
    }
  });
}
