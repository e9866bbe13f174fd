
// Pinger's own beginning, behind what wasm-bindgen wrote: loads the module and hands each island of the page to it. The module's
// URL carries a hash that only the server knows, so the page says it.
{
  const { wasm } = document.querySelector("script[data-wasm]").dataset;
  Promise.all([__wbg_init({ module_or_path: wasm }), import(import.meta.url)])
    .then(([, own]) => {
      own.hydrate();
      for (const island of document.querySelectorAll("leptos-island")) {
        own[island.dataset.component]?.(island);
      }
      own.begin();
    })
    .catch((error) => console.error("The page's scripts could not start; it works without them.", error));
}
