import { MenuSvg, type LabIcon } from '@jupyterlab/ui-components';
import { CommandRegistry } from '@lumino/commands';
import type { Menu } from '@lumino/widgets';

/** A line of a menu that is made for one moment. */
export interface IMenuLine {
  label: string;
  caption?: string;
  icon?: LabIcon;
  isDisabled?: boolean;
  run?: () => unknown;
}

/** A menu of its own commands, so that what is offered needs no global command for each line. */
export function menuOf(lines: readonly (IMenuLine | 'separator')[]): Menu {
  const commands = new CommandRegistry();
  const menu = new MenuSvg({ commands });
  lines.forEach((line, index) => {
    if (line === 'separator') {
      menu.addItem({ type: 'separator' });
      return;
    }
    const command = `line-${index}`;
    commands.addCommand(command, {
      label: line.label,
      caption: line.caption ?? '',
      icon: line.icon,
      isEnabled: () => !line.isDisabled,
      execute: () => line.run?.()
    });
    menu.addItem({ command });
  });
  menu.addClass('zoe-Menu');
  menu.aboutToClose.connect(() => window.setTimeout(() => menu.dispose()));
  return menu;
}
