import type { ValidatorType } from '@rjsf/utils';
import { useEffect, useState } from 'react';

const MEMORY = /^[0-9]{1,15}(?:\.[0-9]{1,9})?\s*[A-Za-z]{0,3}$/;

let loading: Promise<ValidatorType> | null = null;

/** JupyterLab's own: it is large, and loaded with the first form. */
function load(): Promise<ValidatorType> {
  loading ??= import('@rjsf/validator-ajv8').then(({ customizeValidator }) =>
    customizeValidator({ customFormats: { memory: MEMORY } })
  );
  return loading;
}

export function useValidator(): ValidatorType | null {
  const [validator, setValidator] = useState<ValidatorType | null>(null);
  useEffect(() => {
    let isHere = true;
    void load().then(loaded => isHere && setValidator(loaded));
    return () => {
      isHere = false;
    };
  }, []);
  return validator;
}
