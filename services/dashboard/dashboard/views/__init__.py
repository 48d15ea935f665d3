"""SHELL: the pages; Streamlit runs each as a script."""
