// Entry of the language server under Node.

import { serve } from "./stdio.ts";

serve();
