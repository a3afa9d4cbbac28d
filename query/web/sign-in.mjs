// Asks a person for the token where the API wants one. It goes to the server once, in the body of a
// POST, and comes back as a cookie that no script can read: it stands in no address and no storage.

const dialog = /** @type {HTMLDialogElement} */ (document.getElementById('sign-in'));
const field = /** @type {HTMLInputElement} */ (document.getElementById('token'));
const problem = /** @type {HTMLElement} */ (document.getElementById('sign-in-problem'));

/** Shows the form; calls `then` once the token has been taken. @param {() => void} then */
export function askToken(then) {
  if (dialog.open) return;
  problem.textContent = '';
  dialog.onsubmit = async (event) => {
    event.preventDefault();
    const response = await fetch('/session', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ token: field.value.trim() }),
    }).catch(() => null);
    if (response?.ok) {
      field.value = '';
      dialog.close();
      then();
    } else problem.textContent = response === null ? 'The server does not answer.' : 'That is not a token of this page.';
  };
  dialog.showModal();
  field.focus();
}
