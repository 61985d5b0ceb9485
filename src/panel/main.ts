// Entry of the webview's script (bundled as one IIFE): connects to VS Code and puts the panel on the page.

import { Panel } from "./app.ts";
import { connect } from "./host.ts";

const panel = new Panel();
panel.host = connect();
document.body.append(panel);
